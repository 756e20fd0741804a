"""How far the tensors of two graphs agree, where what they mean isn't a mask."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.bootstrap import bootstrap

Answer: TypeAlias = tuple[np.ndarray, ...]

MANY_CLASSES = 3  # fewer numbers in a row than this are no class scores


def disagreement(source: Sequence[Answer], candidate: Sequence[Answer], metric: str, host: Host) -> Measurement:
    """100 · (1 − mean cosine similarity with the source's tensors), in points; the worst output counts.

    Both hold one answer per frame. Whole numbers are classes, and agree where they are equal; tensors that differ in
    shape or hold NaN don't agree at all. Raises InputError without frames.
    """
    likeness = np.array([_likenesses(a, b) for a, b in _pairs(source, candidate)])
    return _over(metric, "points", 100 * (1 - likeness), host)


def top1(source: Sequence[Answer], candidate: Sequence[Answer], metric: str, host: Host) -> Measurement | None:
    """Percent of frames whose highest class is the source's, the worst output counts; None without class scores."""
    pairs = _pairs(source, candidate)
    scores = [number for number, tensor in enumerate(pairs[0][0]) if _is_class_scores(tensor)]
    if not scores:
        return None
    missed = np.array([[_missed(a[number], b[number]) for number in scores] for a, b in pairs])
    lost = _over(metric, "%", 100 * missed, host)
    return Measurement(
        metric=metric,
        value=100 - lost.value,
        unit="%",
        low=100 - lost.high,
        high=100 - lost.low,
        samples=lost.samples,
        host=host,
    )


def _pairs(source: Sequence[Answer], candidate: Sequence[Answer]) -> list[tuple[Answer, Answer]]:
    if not source:
        raise InputError("there are no frames to compare tensors on")
    for before, after in zip(source, candidate, strict=True):
        if len(before) != len(after):
            raise InputError(f"expected {len(before)} tensors as the source gives, found {len(after)}")
    return list(zip(source, candidate, strict=True))


def _likenesses(source: Answer, candidate: Answer) -> list[float]:
    return [_likeness(a, b) for a, b in zip(source, candidate, strict=True)]


def _likeness(source: np.ndarray, candidate: np.ndarray) -> float:
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
    """Floats in a single row."""
    return np.issubdtype(tensor.dtype, np.floating) and tensor.size == max(tensor.shape, default=0) >= MANY_CLASSES


def _missed(source: np.ndarray, candidate: np.ndarray) -> bool:
    return source.size != candidate.size or int(source.argmax()) != int(candidate.argmax())


def _over(metric: str, unit: str, losses: np.ndarray, host: Host) -> Measurement:
    """Over frames; ``losses`` are (frames, outputs), of which the worst one counts."""

    def worst(places: np.ndarray) -> float:
        return float(losses[places].mean(axis=0).max())

    return bootstrap(metric, unit, worst, len(losses), host)
