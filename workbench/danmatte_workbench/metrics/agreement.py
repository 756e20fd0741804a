"""How far a candidate is from its source: in IoU lost, or in tensors that differ."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.base import Score, bootstrap
from danmatte_workbench.metrics.pooled_iou import PooledIoU

Answer: TypeAlias = tuple[np.ndarray, ...]

MANY_CLASSES = 3  # fewer numbers in a row than this are no class scores


def measure_iou_drop(source: Sequence[Score], candidate: Sequence[Score], metric: str, host: Host) -> Measurement:
    """Mean IoU lost against the source, in points, picture by picture; negative means more accurate.

    Raises InputError where no picture has people.
    """
    lost = np.array([100 * (a.iou - b.iou) for a, b in zip(source, candidate, strict=True) if a.truth > 0])
    if not len(lost):
        raise InputError("no picture has people in its mask, so no drop in IoU can be measured")
    # The interval is over the pictures' own differences, so that hard pictures don't widen it.
    return bootstrap(metric, "points", lambda places: float(lost[places].mean()), len(lost), host)


def measure_mask_disagreement(candidate: Sequence[Score], metric: str, host: Host) -> Measurement:
    """100 − pooled IoU with the source's own masks, in points, when there is no other truth.

    Raises InputError where the source finds nobody.
    """
    if not any(score.truth for score in candidate):
        raise InputError("the source finds nobody in these frames, so no agreement can be measured")
    # Pooled, because a speck that the source sees in an empty picture says nothing about a mask of people.
    pooled = PooledIoU()
    return bootstrap(
        metric,
        "points",
        lambda places: 100 * (1 - pooled.compute([candidate[place] for place in places])),
        len(candidate),
        host,
    )


def measure_disagreement(source: Sequence[Answer], candidate: Sequence[Answer], metric: str, host: Host) -> Measurement:
    """100 · (1 − mean cosine similarity with the source's tensors), in points; the worst output counts.

    Both hold one answer per frame. Whole numbers are classes, and agree where they are equal; tensors that differ in
    shape or hold NaN don't agree at all. Raises InputError without frames.
    """
    _check_answers(source, candidate)
    likeness = np.array(
        [
            [_compute_likeness(a, b) for a, b in zip(before, after, strict=True)]
            for before, after in zip(source, candidate, strict=True)
        ]
    )
    return _measure_worst(metric, "points", 100 * (1 - likeness), host)


def measure_top1(source: Sequence[Answer], candidate: Sequence[Answer], metric: str, host: Host) -> Measurement | None:
    """Percent of frames whose highest class is the source's, the worst output counts; None without class scores."""
    _check_answers(source, candidate)
    scores = [number for number, tensor in enumerate(source[0]) if _is_class_scores(tensor)]
    if not scores:
        return None
    missed = np.array(
        [
            [before[n].size != after[n].size or before[n].argmax() != after[n].argmax() for n in scores]
            for before, after in zip(source, candidate, strict=True)
        ]
    )
    lost = _measure_worst(metric, "%", 100 * missed, host)
    return structs.replace(lost, value=100 - lost.value, low=100 - lost.high, high=100 - lost.low)


def _check_answers(source: Sequence[Answer], candidate: Sequence[Answer]) -> None:
    if not source:
        raise InputError("there are no frames to compare tensors on")
    for before, after in zip(source, candidate, strict=True):
        if len(before) != len(after):
            raise InputError(f"expected {len(before)} tensors as the source gives, found {len(after)}")


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


def _measure_worst(metric: str, unit: str, losses: np.ndarray, host: Host) -> Measurement:
    """Over frames; ``losses`` are (frames, outputs), of which the worst one counts."""
    return bootstrap(metric, unit, lambda places: float(losses[places].mean(axis=0).max()), len(losses), host)
