"""How far a candidate is from its source: in IoU lost, or in outputs that differ."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.base import CONFIDENCE, Score, bootstrap, bootstrap_ratio
from danmatte_workbench.metrics.outputs import OutputMeasure, ScoresMeasure
from danmatte_workbench.metrics.outputs.base import Answer
from danmatte_workbench.metrics.outputs.scores import FIRST


@dataclass(frozen=True)
class TensorScore:
    """One frame's outputs beside the source's: the kind of each, and the sample that its measure took."""

    name: str
    kinds: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]


def score_tensors(
    names: Sequence[str], source: Sequence[Answer], candidate: Iterable[Answer], kinds: Sequence[str]
) -> list[TensorScore]:
    """Compare each frame's outputs with the source's, by measures of these kinds.

    Raises InputError where there are more outputs, or fewer, and for frames on which the source's answers tell nothing.
    """
    if not source:
        raise InputError("there are no frames to compare tensors on")
    measures = [OutputMeasure.all[kind](source, place) for place, kind in enumerate(kinds)]
    scores = []
    for name, before, after in zip(names, source, candidate, strict=True):
        if len(before) != len(after) or len(kinds) != len(before):
            raise InputError(f"expected {len(before)} tensors as the source gives, found {len(after)}")
        samples = tuple(measure.sample(before, after) for measure in measures)
        scores.append(TensorScore(name, tuple(kinds), samples))
    return scores


def get_limit(kinds: Sequence[str]) -> float:
    """The points that outputs of these kinds may lose unless told otherwise: the least of their own limits."""
    return min(OutputMeasure.all[kind].limit for kind in kinds)


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
    """What the worst output loses, in points from 0 to 100, by the measure of its kind.

    Where kinds have limits of their own, a loss counts in proportion: twice its own limit is twice the least one.
    Raises InputError without frames.
    """
    if not scores:
        raise InputError("there are no frames to compare tensors on")
    kinds = scores[0].kinds
    whole = [np.array([score.samples[place] for score in scores]) for place in range(len(kinds))]
    least = get_limit(kinds)

    def lose_most(places: np.ndarray) -> np.ndarray:
        losses = []
        for kind, samples in zip(kinds, whole, strict=True):
            measure = OutputMeasure.all[kind]
            losses.append(measure.compute(samples[places]) * least / measure.limit)
        return np.asarray(np.max(losses, axis=0))

    return bootstrap(metric, "points", lose_most, len(scores), host, confidence=confidence)


def measure_top1(
    scores: Sequence[TensorScore], metric: str, host: Host, *, confidence: float = CONFIDENCE
) -> Measurement | None:
    """Percent of frames whose highest class is the source's, the worst output counts; None without class scores."""
    places = [place for place, kind in enumerate(scores[0].kinds) if kind == ScoresMeasure.kind] if scores else []
    if not places:
        return None
    missed = np.array([[100.0 * score.samples[place][FIRST] for place in places] for score in scores])

    def agree_least(rows: np.ndarray) -> np.ndarray:
        return np.asarray(100 - missed[rows].mean(axis=1).max(axis=1))

    return bootstrap(metric, "%", agree_least, len(scores), host, confidence=confidence)
