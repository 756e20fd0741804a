"""Base class of the metrics of masks, the pixel counts that they use, and bootstrap intervals."""

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

BAND = 0.01  # of the diagonal: about the distance by which the outlines of labels are uncertain
BOUNDARY = 0.02  # of the diagonal: width of the band in which boundary IoU is computed
RESAMPLES = 2000
FARTHEST = 1e9  # an unbounded end of an interval, before `limit_interval` replaces it by the end of the possible range
NO_SCENES: Mapping[str, str] = MappingProxyType({})
CONFIDENCE = 0.95  # of every interval, unless several attempts require a higher one


@dataclass(frozen=True)
class Reach:
    """Confidence of an interval, and a factor by which its ends are then moved away from the value."""

    confidence: float = CONFIDENCE
    wider: float = 1.0


USUAL = Reach()


@dataclass(frozen=True)
class Score:
    """Pixel counts of one picture, without ignored pixels.

    both, either: intersection and union of mask and truth; edge_both, edge_either: those of the bands along their
    outlines. truth, painted: areas of the truth and of the mask. counted: pixels that aren't ignored. near: pixels in
    which mask and truth differ, within a hundredth of the diagonal from the truth's outline.
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
        """Return intersection over union; 1 if both masks are empty."""
        return self.both / self.either if self.either else 1.0

    @property
    def edge_iou(self) -> float:
        """Return boundary IoU (Cheng et al., CVPR 2021); 1 if both masks are empty."""
        return self.edge_both / self.edge_either if self.edge_either else 1.0


def score_mask(name: str, mask: np.ndarray, truth: np.ndarray) -> Score:
    """Compare ``mask``, (H, W) bool, with ``truth``, (H, W) uint8 of 0, 128 = ignored, 255."""
    counted = truth != IGNORE
    person = truth == PERSON
    # Ignored pixels are removed before outlines are computed, so both outlines agree where a person meets such pixels.
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
    """Return the mask's pixels at most ``width`` from its outline; the picture's border counts as outline."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    return np.asarray(mask & (inside == 0))


def find_band(mask: np.ndarray, share: float) -> np.ndarray:
    """Return the pixels on both sides of the mask's outline, (H, W) bool, within ``share`` of the diagonal from it."""
    width = round(share * float(np.hypot(*mask.shape)))
    if not width:
        return np.zeros(mask.shape, bool)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    plane = mask.astype(np.uint8)
    # OpenCV's default border changes nothing: where the picture cuts a person off, there is no outline.
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
    """Return a figure over ``count`` items with its expanded percentile bootstrap interval, from a fixed seed.

    The plain percentile interval (Efron 1979) is too narrow for few items. The expanded one takes percentiles further
    out, by as much as Student's distribution is wider than the normal one (Hesterberg 2015, "What teachers should know
    about the bootstrap", section 5.2). Resamples of very few items vary too little, so the interval is at least
    Student's interval with the resamples' standard error. The interval of a single item is its value alone.

    value: a function from indices of items, (n, count), which may repeat, to the figure of each row, (n,).
    """
    # Not scipy.stats.bootstrap: it resamples arrays, not scores, and would be a direct dependency for a few lines.
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
    """Return the sum of the parts' first numbers over the sum of their second ones, with its interval; 0 / 0 is 1."""
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
    """Return the ratio of the parts' sums, as `bootstrap_ratio`, with an interval over scenes.

    parts: the name of a picture and its part. scenes: scene by picture name. Pictures of one scene look alike, so they
    are resampled together; a picture without a scene is a separate scene. If there is only one scene, the interval
    reaches from the smallest to the largest figure of its pictures; for one picture alone it is unbounded.
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


def limit_interval(found: Measurement, minimum: float, maximum: float) -> Measurement:
    """Return the measurement with its interval limited to the range that its values can have."""
    return structs.replace(
        found, low=max(found.low, min(minimum, found.value)), high=min(found.high, max(maximum, found.value))
    )


def compute_expansion(count: int, confidence: float) -> float:
    """Return the half-width of an interval in standard deviations of the bootstrapped mean of ``count`` ≥ 2 items.

    That is Student's quantile, by the Cornish–Fisher expansion, times a correction for the sample variance, which is
    too small.
    """
    z, freedom = NormalDist().inv_cdf(0.5 + confidence / 2), count - 1
    third = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    student = z + (z**3 + z) / (4 * freedom) + third
    return float(student * np.sqrt(count / freedom))


class Metric(ABC):
    """A figure over the scores of many pictures. Importing a subclass registers it.

    kind: its name in reports' JSON. heading: its column's heading in tables. ideal: the figure of a perfect prediction.
    of_candidates: whether it is also measured for every candidate of a run.
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
        """Return the figure and its bootstrap interval over scenes.

        scenes: scene by picture name; a picture without one is a separate scene.
        Raises InputError if no picture counts.
        """
        counted = [score for score in scores if self.counts(score)]
        if not counted:
            raise InputError(f"{self.kind}: none of {len(scores)} pictures counts")

        parts = [(score.name, self.weigh(score)) for score in counted]
        found = bootstrap_scenes(self.kind, self.unit, parts, host, scenes=scenes)
        return limit_interval(found, 0.0, 100.0 if self.unit == "%" else 1.0)

    def counts(self, score: Score) -> bool:
        """Return whether the metric uses this picture; by default, those with people."""
        return score.truth > 0

    @abstractmethod
    def weigh(self, score: Score) -> tuple[float, float]:
        """Return a picture's numerator and denominator; the figure is the ratio of their sums over all pictures."""
