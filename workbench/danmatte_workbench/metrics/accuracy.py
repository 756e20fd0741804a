"""How well masks agree with the truth, or with another model's masks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import cv2
import numpy as np

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.dataset import IGNORE, PERSON
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.bootstrap import bootstrap

BOUNDARY = 0.02  # of the diagonal: the width of the band that boundary IoU looks at
Item = TypeVar("Item")


@dataclass(frozen=True)
class Score:
    """One picture's counts, in pixels; ignored pixels count nowhere. ``painted`` is the mask's own area."""

    name: str
    both: int
    either: int
    edge_both: int
    edge_either: int
    truth: int
    painted: int
    counted: int

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where neither mask has a person."""
        return self.both / self.either if self.either else 1.0

    @property
    def edge_iou(self) -> float:
        """Boundary IoU (Cheng et al., CVPR 2021)."""
        return self.edge_both / self.edge_either if self.edge_either else 1.0


def score(name: str, mask: np.ndarray, truth: np.ndarray) -> Score:
    """Compare ``mask``, (H, W) bool, with ``truth``, (H, W) uint8 of 0, 128 = ignored, 255.

    Ignored pixels are taken out of the mask before its outline is drawn: where a person meets one, both outlines agree.
    """
    counted = truth != IGNORE
    person = truth == PERSON
    painted = mask & counted
    width = max(1, round(BOUNDARY * float(np.hypot(*truth.shape))))
    edge, true_edge = _band(painted, width) & counted, _band(person, width) & counted
    return Score(
        name=name,
        both=int((painted & person).sum()),
        either=int((painted | person).sum()),
        edge_both=int((edge & true_edge).sum()),
        edge_either=int((edge | true_edge).sum()),
        truth=int(person.sum()),
        painted=int(painted.sum()),
        counted=int(counted.sum()),
    )


def _band(mask: np.ndarray, width: int) -> np.ndarray:
    """The mask's pixels at most ``width`` from its outline; the picture's border is outline, too."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.asarray(mask & (inside == 0))


class Metric(ABC):
    """A figure over many pictures. ``ideal`` is what a perfect prediction gets."""

    kind: ClassVar[str]
    unit: ClassVar[str] = "IoU"
    ideal: ClassVar[float] = 1.0
    all: ClassVar[dict[str, "Metric"]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Metric.all[cls.kind] = cls()

    def measure(self, scores: Sequence[Score], host: Host) -> Measurement:
        """The figure and its bootstrap interval over pictures. Raises InputError when no picture counts."""
        counts = [item for item in scores if self.counts(item)]
        if not counts:
            raise InputError(f"{self.kind}: none of {len(scores)} pictures counts")
        return _over(self.kind, self.unit, counts, self.value, host)

    def counts(self, item: Score) -> bool:
        """Whether the picture enters; those with people do, unless said otherwise."""
        return item.truth > 0

    @abstractmethod
    def value(self, scores: Sequence[Score]) -> float:
        """The figure over pictures that count; at least one is given."""


class MeanIoU(Metric):
    """Mean over pictures of intersection over union: a small figure counts as much as a large one."""

    kind = "mean_iou"

    def value(self, scores: Sequence[Score]) -> float:
        return float(np.mean([item.iou for item in scores]))


class PooledIoU(Metric):
    """Intersection over union of all pixels of all pictures together."""

    kind = "pooled_iou"

    def value(self, scores: Sequence[Score]) -> float:
        either = sum(item.either for item in scores)
        return sum(item.both for item in scores) / either if either else 1.0


class BoundaryIoU(Metric):
    """Mean over pictures of boundary IoU."""

    kind = "boundary_iou"

    def value(self, scores: Sequence[Score]) -> float:
        return float(np.mean([item.edge_iou for item in scores]))


class FalsePositives(Metric):
    """Mean share of the picture painted where there is nobody, in percent."""

    kind = "false_positives"
    unit = "%"
    ideal = 0.0

    def counts(self, item: Score) -> bool:
        return item.truth == 0 and item.counted > 0

    def value(self, scores: Sequence[Score]) -> float:
        return 100 * float(np.mean([item.painted / item.counted for item in scores]))


def disagreement(candidate: Sequence[Score], metric: str, host: Host) -> Measurement:
    """100 − pooled IoU with the source's own masks, in points, when there is no other truth.

    Pooled, because a speck that the source sees in an empty picture says nothing about a mask of people.
    """
    if not any(item.truth for item in candidate):
        raise InputError("the source finds nobody in these frames, so no agreement can be measured")
    return _over(metric, "points", candidate, lambda items: 100 * (1 - PooledIoU().value(items)), host)


def drop(source: Sequence[Score], candidate: Sequence[Score], metric: str, host: Host) -> Measurement:
    """Mean IoU lost against the source, in points, picture by picture; negative is a gain.

    The interval is over the pictures' own differences, so that hard pictures don't widen it.
    """
    pairs = [(a.iou, b.iou) for a, b in zip(source, candidate, strict=True) if a.truth > 0]
    if not pairs:
        raise InputError("no picture has people in its mask, so no drop in IoU can be measured")

    def value(items: Sequence[tuple[float, float]]) -> float:
        return 100 * float(np.mean([before - after for before, after in items]))

    return _over(metric, "points", pairs, value, host)


def _over(
    metric: str, unit: str, items: Sequence[Item], value: Callable[[Sequence[Item]], float], host: Host
) -> Measurement:
    return bootstrap(metric, unit, lambda places: value([items[place] for place in places]), len(items), host)
