"""The limits that a winner must meet, and the check of a candidate against them."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from danmatte.contract.measurement import Measurement
from danmatte_workbench.errors import InputError

IOU_DROP = "iou_drop"
DISAGREEMENT = "disagreement"
LATENCY = "latency"
INTERVAL_FACTOR = 2.0  # the end of a confirmed loss's interval may be up to this factor times the limit
NO_KINDS: Mapping[str, Measurement] = MappingProxyType({})
MIN_KIND_SAMPLES = 30  # pictures that a kind must have for its own loss and interval to be limited


@dataclass(frozen=True)
class Verdict:
    """The limits that a candidate broke, in words. A candidate that broke none is accepted."""

    broken: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.broken


@dataclass(frozen=True)
class Budget:
    """Limits relative to the source.

    max_iou_drop: loss of IoU in points (hundredths).
    max_disagreement: disagreement of output tensors in points.
    max_latency_ms: milliseconds per frame.

    At least one of the first two is set.
    """

    max_iou_drop: float | None = None
    max_latency_ms: float | None = None
    max_disagreement: float | None = None

    def __post_init__(self) -> None:
        if self.max_iou_drop is None and self.max_disagreement is None:
            raise InputError("a budget needs --max-iou-drop, or --max-disagreement if the output isn't a mask")
        for option, limit in (("--max-iou-drop", self.max_iou_drop), ("--max-disagreement", self.max_disagreement)):
            if limit is not None and not 0 <= limit <= 100:
                raise InputError(f"{option}: expected points from 0 to 100, such as 0.5, received {limit:g}")
        if self.max_latency_ms is not None and not 0 < self.max_latency_ms < math.inf:
            raise InputError(f"--max-latency-ms: expected more than 0, received {self.max_latency_ms:g}")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by metric."""
        limits = {
            IOU_DROP: self.max_iou_drop,
            DISAGREEMENT: self.max_disagreement,
            LATENCY: self.max_latency_ms,
        }
        return {metric: limit for metric, limit in limits.items() if limit is not None}

    @property
    def accuracy(self) -> str:
        """The metric that measures how far a candidate is from its source."""
        return DISAGREEMENT if self.max_iou_drop is None else IOU_DROP

    def accepts_accuracy(
        self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS
    ) -> bool:
        """Return whether the losses are within their limit, whatever the other limits say."""
        return not self._find_losses_broken(measurements, kinds)

    def judge(self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS) -> Verdict:
        """Return the verdict on the measurements by which the winner is chosen.

        The loss over all pictures must be within the limit. For each kind of scene, only a loss whose whole interval is
        above the limit counts as broken. For other metrics, the pessimistic end of the interval must be within the
        limit. A metric that wasn't measured is broken.

        kinds: the loss for each kind of scene.
        """
        known = tuple(measurements)
        return Verdict((*self._find_losses_broken(known, kinds), *self._find_others_broken(known)))

    def confirm(self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS) -> Verdict:
        """Return the verdict on pictures that weren't used to choose the winner.

        The loss must be within the limit, and the end of its interval within twice the limit. The same holds for each
        kind of scene with enough pictures. For other kinds, only a loss whose whole interval is above the limit counts
        as broken.
        """
        known = tuple(measurements)
        losses = self._find_losses_broken(known, kinds, enough=MIN_KIND_SAMPLES)
        return Verdict((*losses, *self._find_others_broken(known)))

    def _find_losses_broken(
        self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement], enough: int | None = None
    ) -> list[str]:
        """Return the broken loss limits, in words.

        enough: the minimum number of pictures for a kind's interval to count; None if intervals don't count.
        """
        metric, limit = self.accuracy, self.limits[self.accuracy]
        whole = next((item for item in measurements if item.metric == metric), None)
        if whole is None:
            return [f"{metric} was not measured"]
        broken = []
        for where, item in {"": whole, **{f" in {kind}": loss for kind, loss in kinds.items()}}.items():
            figure = f"{metric}{where} is {item.value:.3g} {item.unit}, the limit is {limit:g}"
            strict = not where or (enough is not None and item.samples >= enough)
            highest = INTERVAL_FACTOR * limit
            if not (item.value if strict else item.low) <= limit:  # written this way because NaN must be broken, too
                broken.append(figure if strict else f"{figure}, and its whole interval is above it")
            elif strict and enough is not None and not item.high <= highest:
                broken.append(
                    f"{metric}{where} may reach {item.high:.3g} {item.unit}, the interval's limit is {highest:g}"
                )
        return broken

    def _find_others_broken(self, measurements: Iterable[Measurement]) -> list[str]:
        known = {item.metric: item for item in measurements}
        broken = []
        for metric, limit in self.limits.items():
            measured = known.get(metric)
            if metric == self.accuracy:
                continue
            if measured is None:
                broken.append(f"{metric} was not measured")
            elif not measured.high <= limit:
                broken.append(f"{metric} may reach {measured.high:.3g} {measured.unit}, the limit is {limit:g}")
        return broken
