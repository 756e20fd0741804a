"""What every metric of masks is, what it is made of, and the interval that every figure gets."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import ClassVar

import cv2
import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.dataset import IGNORE, PERSON
from danmatte_workbench.errors import InputError

BAND = 0.01  # of the diagonal: about as far as labels themselves are unsure of an outline
BOUNDARY = 0.02  # of the diagonal: the width of the band that boundary IoU looks at
RESAMPLES = 2000
FARTHEST = 1e9  # stands for no end of an interval, until it is limited to what can be
NO_SCENES: Mapping[str, str] = MappingProxyType({})
CONFIDENCE = 0.95  # of every interval, unless more than one attempt makes it higher


@dataclass(frozen=True)
class Reach:
    """How sure an interval is to hold its figure, and how many times as far from it its ends are all the same."""

    confidence: float = CONFIDENCE
    wider: float = 1.0


USUAL = Reach()


@dataclass(frozen=True)
class Score:
    """One picture's counts, in pixels; ignored pixels count nowhere. ``painted`` is the mask's own area.

    near: pixels in which mask and truth differ within a hundredth of the diagonal from the truth's outline.
    """

    name: str
    both: int
    either: int
    edge_both: int
    edge_either: int
    truth: int
    painted: int
    counted: int
    near: int = 0

    @property
    def iou(self) -> float:
        """Intersection over union; 1 where neither mask has a person."""
        return self.both / self.either if self.either else 1.0

    @property
    def edge_iou(self) -> float:
        """Boundary IoU (Cheng et al., CVPR 2021)."""
        return self.edge_both / self.edge_either if self.edge_either else 1.0


def score_mask(name: str, mask: np.ndarray, truth: np.ndarray) -> Score:
    """Compare ``mask``, (H, W) bool, with ``truth``, (H, W) uint8 of 0, 128 = ignored, 255."""
    counted = truth != IGNORE
    person = truth == PERSON
    # Ignored pixels leave the mask before its outline is drawn: where a person meets one, both outlines agree.
    painted = mask & counted
    width = max(1, round(BOUNDARY * float(np.hypot(*truth.shape))))
    edge, true_edge = _find_edge(painted, width) & counted, _find_edge(person, width) & counted
    return Score(
        name=name,
        both=int((painted & person).sum()),
        either=int((painted | person).sum()),
        edge_both=int((edge & true_edge).sum()),
        edge_either=int((edge | true_edge).sum()),
        truth=int(person.sum()),
        painted=int(painted.sum()),
        counted=int(counted.sum()),
        near=int(((painted ^ person) & counted & find_band(person, BAND)).sum()),
    )


def _find_edge(mask: np.ndarray, width: int) -> np.ndarray:
    """The mask's pixels at most ``width`` from its outline; the picture's border is outline, too."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.asarray(mask & (inside == 0))


def find_band(mask: np.ndarray, share: float) -> np.ndarray:
    """The pixels on both sides of the mask's outline, (H, W) bool, at most that share of the diagonal from it."""
    width = round(share * float(np.hypot(*mask.shape)))
    if not width:
        return np.zeros(mask.shape, bool)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    plane = mask.astype(np.uint8)
    # OpenCV's own border changes nothing: where a person is cut off by the picture, there is no outline.
    return np.asarray((cv2.dilate(plane, kernel) > 0) & (cv2.erode(plane, kernel) == 0))


def bootstrap(
    metric: str,
    unit: str,
    value: Callable[[np.ndarray], np.ndarray],
    count: int,
    host: Host,
    *,
    reach: Reach = USUAL,
) -> Measurement:
    """A figure over ``count`` items with its expanded percentile bootstrap interval, from a fixed seed.

    The plain percentile interval (Efron 1979) is too narrow for few items; taking the percentiles further out by what
    Student's distribution is wider than the normal one mends that (Hesterberg 2015, "What teachers should know about
    the bootstrap", section 5.2). Draws of very few items can't reach as far as others would, so the interval is at
    least Student's with the draws' standard error. Of a single item nothing is known but its value.

    value: figures, (n,), of the items at n times some places, indices (n, count) of which one may come several times.
    """
    # scipy.stats.bootstrap resamples arrays, not scores, and would make scipy a direct dependency for these lines.
    rng = np.random.default_rng(0)
    draws = value(rng.integers(count, size=(RESAMPLES, count)))
    expansion = compute_expansion(count, reach.confidence) if count > 1 else 0.0
    tail = NormalDist().cdf(-expansion)
    low, high = np.percentile(draws, (100 * tail, 100 * (1 - tail)))
    middle, least = float(value(np.arange(count)[None])[0]), expansion * float(draws.std())
    low, high = (middle + reach.wider * (end - middle) for end in (min(low, middle - least), max(high, middle + least)))
    return Measurement(
        metric=metric,
        value=middle,
        unit=unit,
        low=min(float(low), middle),
        high=max(float(high), middle),
        samples=count,
        host=host,
    )


def bootstrap_ratio(
    metric: str,
    unit: str,
    parts: Sequence[tuple[float, float]],
    host: Host,
    *,
    reach: Reach = USUAL,
) -> Measurement:
    """The sum of the parts' first numbers by that of their second ones, with its interval; 0 / 0 is 1."""
    above, below = np.array(parts, np.float64).T

    def divide(places: np.ndarray) -> np.ndarray:
        whole = below[places].sum(axis=1)
        return np.where(whole == 0, 1.0, above[places].sum(axis=1) / np.where(whole == 0, 1.0, whole))

    return bootstrap(metric, unit, divide, len(parts), host, reach=reach)


def bootstrap_scenes(
    metric: str,
    unit: str,
    parts: Sequence[tuple[str, tuple[float, float]]],
    host: Host,
    *,
    reach: Reach = USUAL,
    scenes: Mapping[str, str] = NO_SCENES,
) -> Measurement:
    """The ratio of the parts, each with its picture's name, with an interval over scenes.

    scenes: what a picture belongs to, by its name: pictures of one scene look alike and are drawn together. A picture
    without a scene is one of its own. One scene tells nothing of others: its interval is from the least to the most
    that a picture of it has; and that of one picture alone has no end.
    """
    merged: dict[str | int, tuple[float, float]] = {}
    for number, (name, (above, below)) in enumerate(parts):
        scene = scenes.get(name, number)
        before = merged.get(scene, (0.0, 0.0))
        merged[scene] = before[0] + above, before[1] + below
    found = structs.replace(bootstrap_ratio(metric, unit, list(merged.values()), host, reach=reach), samples=len(parts))
    if len(merged) > 1:
        return found
    ends = [above / below for _, (above, below) in parts if below] if len(parts) > 1 else [-FARTHEST, FARTHEST]
    return structs.replace(found, low=min(found.value, *ends), high=max(found.value, *ends))


def limit_interval(found: Measurement, least: float, most: float) -> Measurement:
    """The measurement whose interval doesn't go on where no figure can be."""
    return structs.replace(
        found, low=max(found.low, min(least, found.value)), high=min(found.high, max(most, found.value))
    )


def compute_expansion(count: int, confidence: float) -> float:
    """How many standard deviations of a bootstrapped mean its interval reaches, for ``count`` items, at least two.

    Student's quantile by Cornish and Fisher's expansion, times what a sample's variance is too small by.
    """
    z, freedom = NormalDist().inv_cdf(0.5 + confidence / 2), count - 1
    third = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    student = z + (z**3 + z) / (4 * freedom) + third
    return float(student * np.sqrt(count / freedom))


class Metric(ABC):
    """A figure over the scores of many pictures; subclasses register themselves by being imported.

    kind: its name in facts. heading: its column's in tables. ideal: what a perfect prediction gets. of_candidates:
    whether every candidate of a run is measured by it, too.
    """

    kind: ClassVar[str]
    heading: ClassVar[str]
    unit: ClassVar[str] = "IoU"
    ideal: ClassVar[float] = 1.0
    of_candidates: ClassVar[bool] = False
    all: ClassVar[dict[str, "Metric"]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Metric.all[cls.kind] = cls()

    def measure(self, scores: Sequence[Score], host: Host, scenes: Mapping[str, str] = NO_SCENES) -> Measurement:
        """The figure and its bootstrap interval over scenes, by picture; a picture without one is a scene of its own.

        Raises InputError when no picture counts.
        """
        counted = [score for score in scores if self.counts(score)]
        if not counted:
            raise InputError(f"{self.kind}: none of {len(scores)} pictures counts")

        parts = [(score.name, self.weigh(score)) for score in counted]
        found = bootstrap_scenes(self.kind, self.unit, parts, host, scenes=scenes)
        return limit_interval(found, 0.0, 100.0 if self.unit == "%" else 1.0)

    def counts(self, score: Score) -> bool:
        """Whether the picture enters; those with people do, unless a metric says otherwise."""
        return score.truth > 0

    @abstractmethod
    def weigh(self, score: Score) -> tuple[float, float]:
        """A picture's part in the figure, which is the sum of all first numbers by the sum of all second ones."""
