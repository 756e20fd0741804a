"""Difference between a candidate and its source: IoU lost, or disagreement of outputs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.labels import LabelledBox
from danmatte_workbench.metrics.base import (
    NO_SCENES,
    USUAL,
    Reach,
    Score,
    bootstrap,
    bootstrap_scenes,
    limit_interval,
)
from danmatte_workbench.metrics.outputs import (
    BoxesMeasure,
    LabelledBoxesMeasure,
    LabelledScoresMeasure,
    OutputMeasure,
    ScoresMeasure,
)
from danmatte_workbench.metrics.outputs.base import WHOLE, Answer, Sample
from danmatte_workbench.metrics.outputs.scores import FIRST

NEAR_CHARGE = 0.25  # weight of a differing pixel near the outline of the source's mask; elsewhere it is 1


@dataclass(frozen=True)
class TensorScore:
    """Comparison of one frame's outputs with the source's: the kind of each output, and the sample of its measure."""

    name: str
    kinds: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FrameLabels:
    """Labels of a frame: the number of its class, and its boxes or None.

    size: (height, width) of the graph's input, to which boxes in pixels refer.
    """

    class_number: int
    boxes: tuple[LabelledBox, ...] | None
    size: tuple[int, int]


def label_kinds(kinds: Sequence[str], data: Dataset) -> tuple[str, ...]:
    """Return the kinds by which outputs are measured: against labels if all frames have those that a kind needs."""
    labelled = {}
    if data.classified:
        labelled[ScoresMeasure.kind] = LabelledScoresMeasure.kind
    if data.boxed:
        labelled[BoxesMeasure.kind] = LabelledBoxesMeasure.kind
    return tuple(labelled.get(kind, kind) for kind in kinds)


def score_tensors(
    names: Sequence[str],
    source: Sequence[Answer],
    candidate: Iterable[Answer],
    kinds: Sequence[str],
    labels: Sequence[FrameLabels] = (),
) -> list[TensorScore]:
    """Compare each frame's outputs with the source's, by the measure of each output's kind.

    labels: one for each frame, if the kinds need labels. Raises InputError if there are no frames, if the candidate has
    more or fewer outputs than the source, if the source's outputs on these frames can't be measured, or if one isn't
    finite.
    """
    if not source:
        raise InputError("there are no frames to compare tensors on")
    check_numbers(names, source, kinds)
    measures = [OutputMeasure.all[kind](source, place) for place, kind in enumerate(kinds)]
    scores = []
    for number, (name, before, after) in enumerate(zip(names, source, candidate, strict=True)):
        if len(before) != len(after) or len(kinds) != len(before):
            raise InputError(f"expected {len(before)} tensors as the source gives, found {len(after)}")
        known = labels[number] if labels else None
        samples = tuple(_take_sample(measure, before, after, known) for measure in measures)
        scores.append(TensorScore(name, tuple(kinds), samples))
    for place, kind in enumerate(kinds):
        if kind == LabelledScoresMeasure.kind and not any(score.samples[place][0] for score in scores):
            raise InputError(
                "the source finds the class of no frame; expected the folders' classes to be numbered as its scores"
            )
    return scores


def check_numbers(names: Sequence[str], source: Sequence[Answer], kinds: Sequence[str]) -> None:
    """Raise InputError if an output of the source isn't finite, because nothing can be compared with it.

    Tables of boxes are exempt: their rows that aren't finite are ignored.
    """
    boxes = (BoxesMeasure.kind, LabelledBoxesMeasure.kind)
    for name, answer in zip(names, source, strict=True):
        for place, (kind, tensor) in enumerate(zip(kinds, answer, strict=False)):
            if kind not in boxes and not np.isfinite(tensor).all():
                raise InputError(f"{name}: output {place} of the source has NaN or infinity; expected finite numbers")


def _take_sample(measure: OutputMeasure, before: Answer, after: Answer, known: FrameLabels | None) -> Sample:
    if known and isinstance(measure, LabelledScoresMeasure):
        return measure.sample_labelled(before, after, known.class_number)
    if known and known.boxes is not None and isinstance(measure, LabelledBoxesMeasure):
        return measure.sample_labelled(before, after, known.boxes, known.size)
    return measure.sample(before, after)


def get_limit(kinds: Sequence[str]) -> float:
    """Return the default limit in points for outputs of these kinds: the smallest of the kinds' limits."""
    return min(OutputMeasure.all[kind].limit for kind in kinds)


def measure_iou_drop(
    source: Sequence[Score],
    candidate: Sequence[Score],
    metric: str,
    host: Host,
    *,
    reach: Reach = USUAL,
    scenes: Mapping[str, str] = NO_SCENES,
) -> Measurement:
    """Return the mean over pictures of the IoU lost against the source, in points; negative means more accurate.

    scenes: scene by picture name; pictures of one scene are resampled together for the interval.
    Raises InputError if no picture has people.
    """
    pairs = [(before, after) for before, after in zip(source, candidate, strict=True) if before.truth > 0]
    if not pairs:
        raise InputError("no picture has people in its mask, so no drop in IoU can be measured")
    # Resamples the difference of each picture, so that pictures that are hard for both don't widen the interval.
    parts = [(before.name, (100 * (before.iou - after.iou), 1.0)) for before, after in pairs]
    found = bootstrap_scenes(metric, "points", parts, host, reach=reach, scenes=scenes)
    return limit_interval(found, -WHOLE, WHOLE)


def measure_mask_disagreement(
    candidate: Sequence[Score],
    metric: str,
    host: Host,
    *,
    reach: Reach = USUAL,
    scenes: Mapping[str, str] = NO_SCENES,
) -> Measurement:
    """Return 100 − pooled IoU with the source's masks, in points; used if there are no labels.

    Near the outline, within the distance by which labels are uncertain, a differing pixel counts for a quarter, because
    there the candidate is right as often as the source.
    scenes: scene by picture name; pictures of one scene are resampled together for the interval.
    Raises InputError if the source finds no people.
    """
    if not any(score.truth for score in candidate):
        raise InputError("the source finds no people in these frames, so no agreement can be measured")
    # Pooled, because a few pixels that the source paints in an empty picture would otherwise count as a whole picture.
    parts = [
        (score.name, (100.0 * (score.either - score.both - (1 - NEAR_CHARGE) * score.near), float(score.either)))
        for score in candidate
        if score.either
    ]
    found = bootstrap_scenes(metric, "points", parts, host, reach=reach, scenes=scenes)
    return limit_interval(structs.replace(found, samples=len(candidate)), 0.0, WHOLE)


def measure_disagreement(
    scores: Sequence[TensorScore], metric: str, host: Host, *, reach: Reach = USUAL
) -> Measurement:
    """Return the loss of the worst output, in points from 0 to 100, by the measure of its kind.

    If the kinds have different limits, each loss is scaled by the smallest limit over its kind's limit, so that a loss
    of twice its limit counts as twice the smallest limit.
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

    found = bootstrap(metric, "points", lose_most, len(scores), host, reach=reach)
    if len(scores) == 1:
        found = structs.replace(found, low=0.0, high=max(found.value, WHOLE))  # one frame says nothing about others
    return limit_interval(found, 0.0, WHOLE)


def measure_top1(scores: Sequence[TensorScore], metric: str, host: Host) -> Measurement | None:
    """Return the percentage of frames whose highest class is the source's, for the worst output.

    Return None without class scores.
    """
    places = [place for place, kind in enumerate(scores[0].kinds) if kind == ScoresMeasure.kind] if scores else []
    if not places:
        return None
    missed = np.array([[100.0 * score.samples[place][FIRST] for place in places] for score in scores])

    def agree_least(rows: np.ndarray) -> np.ndarray:
        return np.asarray(100 - missed[rows].mean(axis=1).max(axis=1))

    return limit_interval(bootstrap(metric, "%", agree_least, len(scores), host), 0.0, 100.0)
