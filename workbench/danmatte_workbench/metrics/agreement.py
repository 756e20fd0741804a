"""How far a candidate is from its source: in IoU lost, or in outputs that differ."""

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

NEAR_CHARGE = 0.25  # of a pixel that differs, near the outline of the source's mask


@dataclass(frozen=True)
class TensorScore:
    """One frame's outputs beside the source's: the kind of each, and the sample that its measure took."""

    name: str
    kinds: tuple[str, ...]
    samples: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class FrameLabels:
    """What is known of a frame beside its pixels: the number of its class and the boxes in it, where they are told.

    size: (height, width) of the graph's input, which boxes in pixels are of.
    """

    class_number: int
    boxes: tuple[LabelledBox, ...] | None
    size: tuple[int, int]


def label_kinds(kinds: Sequence[str], data: Dataset) -> tuple[str, ...]:
    """The kinds by which outputs are measured on these frames: against labels where all have what the kind asks for."""
    told = {}
    if data.classified:
        told[ScoresMeasure.kind] = LabelledScoresMeasure.kind
    if data.boxed:
        told[BoxesMeasure.kind] = LabelledBoxesMeasure.kind
    return tuple(told.get(kind, kind) for kind in kinds)


def score_tensors(
    names: Sequence[str],
    source: Sequence[Answer],
    candidate: Iterable[Answer],
    kinds: Sequence[str],
    labels: Sequence[FrameLabels] = (),
) -> list[TensorScore]:
    """Compare each frame's outputs with the source's, by measures of these kinds.

    labels: of each frame, where kinds ask for them. Raises InputError where there are more outputs, or fewer, for
    frames on which the source's answers tell nothing, and for one on which it answers what is no number.
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
            raise InputError("the source finds the class of no frame; are the folders numbered as its scores are?")
    return scores


def check_numbers(names: Sequence[str], source: Sequence[Answer], kinds: Sequence[str]) -> None:
    """Raises InputError for an answer that isn't finite, which nothing can be compared with; tables of boxes may have
    such rows, which are left out.
    """
    boxes = (BoxesMeasure.kind, LabelledBoxesMeasure.kind)
    for name, answer in zip(names, source, strict=True):
        for place, (kind, tensor) in enumerate(zip(kinds, answer, strict=False)):
            if kind not in boxes and not np.isfinite(tensor).all():
                raise InputError(
                    f"{name}: output {place} of the source has NaN or infinity; nothing compares with that"
                )


def _take_sample(measure: OutputMeasure, before: Answer, after: Answer, known: FrameLabels | None) -> Sample:
    if known and isinstance(measure, LabelledScoresMeasure):
        return measure.sample_labelled(before, after, known.class_number)
    if known and known.boxes is not None and isinstance(measure, LabelledBoxesMeasure):
        return measure.sample_labelled(before, after, known.boxes, known.size)
    return measure.sample(before, after)


def get_limit(kinds: Sequence[str]) -> float:
    """The points that outputs of these kinds may lose unless told otherwise: the least of their own limits."""
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
    """Mean IoU lost against the source, in points, picture by picture; negative means more accurate.

    scenes: what a picture belongs to, by its name; pictures of one scene are drawn together for the interval.
    Raises InputError where no picture has people.
    """
    pairs = [(before, after) for before, after in zip(source, candidate, strict=True) if before.truth > 0]
    if not pairs:
        raise InputError("no picture has people in its mask, so no drop in IoU can be measured")
    # The interval is over the pictures' own differences, so that hard pictures don't widen it.
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
    """100 − pooled IoU with the source's own masks, in points, when there is no other truth.

    Along the outline, as far as labels are unsure of it, a pixel that differs counts for a quarter: there it is as
    often better as worse.
    scenes: what a picture belongs to, by its name; pictures of one scene are drawn together for the interval.
    Raises InputError where the source finds nobody.
    """
    if not any(score.truth for score in candidate):
        raise InputError("the source finds nobody in these frames, so no agreement can be measured")
    # Pooled, because a speck that the source sees in an empty picture says nothing about a mask of people.
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

    found = bootstrap(metric, "points", lose_most, len(scores), host, reach=reach)
    if len(scores) == 1:
        found = structs.replace(found, low=0.0, high=max(found.value, WHOLE))  # another frame may lose anything
    return limit_interval(found, 0.0, WHOLE)


def measure_top1(scores: Sequence[TensorScore], metric: str, host: Host) -> Measurement | None:
    """Percent of frames whose highest class is the source's, the worst output counts; None without class scores."""
    places = [place for place, kind in enumerate(scores[0].kinds) if kind == ScoresMeasure.kind] if scores else []
    if not places:
        return None
    missed = np.array([[100.0 * score.samples[place][FIRST] for place in places] for score in scores])

    def agree_least(rows: np.ndarray) -> np.ndarray:
        return np.asarray(100 - missed[rows].mean(axis=1).max(axis=1))

    return limit_interval(bootstrap(metric, "%", agree_least, len(scores), host), 0.0, 100.0)
