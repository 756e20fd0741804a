"""How far a candidate is from its source: in IoU lost, or in tensors that differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.base import CONFIDENCE, Score, bootstrap, bootstrap_ratio

Answer: TypeAlias = tuple[np.ndarray, ...]

MANY_CLASSES = 3  # fewer numbers in a row than this are no class scores


@dataclass(frozen=True)
class TensorScore:
    """One frame's tensors beside the source's: 1 − likeness of each, and of class scores whether another is highest."""

    name: str
    losses: tuple[float, ...]
    missed: tuple[bool, ...] = ()


def score_tensors(name: str, source: Answer, candidate: Answer) -> TensorScore:
    """Compare a frame's tensors with the source's.

    Whole numbers are classes, and agree where they are equal; tensors that differ in shape or hold NaN don't agree at
    all. Raises InputError where there are more tensors, or fewer.
    """
    if len(source) != len(candidate):
        raise InputError(f"expected {len(source)} tensors as the source gives, found {len(candidate)}")
    pairs = list(zip(source, candidate, strict=True))
    return TensorScore(
        name,
        tuple(1 - _compute_likeness(before, after) for before, after in pairs),
        tuple(
            before.size != after.size or bool(before.argmax() != after.argmax())
            for before, after in pairs
            if _is_class_scores(before)
        ),
    )


def measure_iou_drop(
    source: Sequence[Score], candidate: Sequence[Score], metric: str, host: Host, *, confidence: float = CONFIDENCE
) -> Measurement:
    """Mean IoU lost against the source, in points, picture by picture; negative means more accurate.

    Raises InputError where no picture has people.
    """
    lost = np.array([100 * (a.iou - b.iou) for a, b in zip(source, candidate, strict=True) if a.truth > 0])
    if not len(lost):
        raise InputError("no picture has people in its mask, so no drop in IoU can be measured")
    # The interval is over the pictures' own differences, so that hard pictures don't widen it.
    return bootstrap(metric, "points", lambda places: lost[places].mean(axis=1), len(lost), host, confidence=confidence)


def measure_mask_disagreement(
    candidate: Sequence[Score], metric: str, host: Host, *, confidence: float = CONFIDENCE
) -> Measurement:
    """100 − pooled IoU with the source's own masks, in points, when there is no other truth.

    Raises InputError where the source finds nobody.
    """
    if not any(score.truth for score in candidate):
        raise InputError("the source finds nobody in these frames, so no agreement can be measured")
    # Pooled, because a speck that the source sees in an empty picture says nothing about a mask of people.
    parts = [(100.0 * (score.either - score.both), float(score.either)) for score in candidate if score.either]
    return bootstrap_ratio(metric, "points", parts, host, confidence=confidence)


def measure_disagreement(
    scores: Sequence[TensorScore], metric: str, host: Host, *, confidence: float = CONFIDENCE
) -> Measurement:
    """100 · (1 − mean cosine similarity with the source's tensors), in points; the worst output counts.

    Raises InputError without frames.
    """
    if not scores:
        raise InputError("there are no frames to compare tensors on")
    return _measure_worst(
        metric, "points", np.array([100 * np.array(score.losses) for score in scores]), host, confidence
    )


def measure_top1(
    scores: Sequence[TensorScore], metric: str, host: Host, *, confidence: float = CONFIDENCE
) -> Measurement | None:
    """Percent of frames whose highest class is the source's, the worst output counts; None without class scores."""
    if not scores or not scores[0].missed:
        return None
    missed = np.array([[100.0 * found for found in score.missed] for score in scores])
    lost = _measure_worst(metric, "%", missed, host, confidence)
    return structs.replace(lost, value=100 - lost.value, low=100 - lost.high, high=100 - lost.low)


def _compute_likeness(source: np.ndarray, candidate: np.ndarray) -> float:
    if source.size != candidate.size:
        return 0.0
    if not np.issubdtype(source.dtype, np.floating):
        return float(np.mean(source.ravel() == candidate.ravel())) if source.size else 1.0
    a, b = source.ravel().astype(np.float64), candidate.ravel().astype(np.float64)
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if lengths == 0:
        return float(not a.any() and not b.any())
    cosine = float(a @ b) / lengths
    return float(np.clip(cosine, -1.0, 1.0)) if np.isfinite(cosine) else 0.0


def _is_class_scores(tensor: np.ndarray) -> bool:
    """Whether the tensor is a single row of floats."""
    return np.issubdtype(tensor.dtype, np.floating) and tensor.size == max(tensor.shape, default=0) >= MANY_CLASSES


def _measure_worst(metric: str, unit: str, losses: np.ndarray, host: Host, confidence: float) -> Measurement:
    """Over frames; ``losses`` are (frames, outputs), of which the worst one counts."""

    return bootstrap(
        metric, unit, lambda places: losses[places].mean(axis=1).max(axis=1), len(losses), host, confidence=confidence
    )
