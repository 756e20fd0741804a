"""What a winner may cost, and whether a candidate keeps to it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from danmatte.contract.measurement import Measurement
from danmatte_workbench.errors import InputError

IOU_DROP = "iou_drop"
DISAGREEMENT = "disagreement"
LATENCY = "latency"
REACH = 2.0  # times the limit: where a confirmed loss's interval may end
NO_KINDS: Mapping[str, Measurement] = MappingProxyType({})
ENOUGH = 30  # pictures of a kind, for its own loss to be held to the limit


@dataclass(frozen=True)
class Verdict:
    """What was broken, in words; nothing broken is acceptance."""

    broken: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.broken


@dataclass(frozen=True)
class Budget:
    """Limits against the source, in points (hundredths): IoU lost, or tensors' disagreement; and milliseconds a frame.

    At least one of the first two is set.
    """

    max_iou_drop: float | None = None
    max_latency_ms: float | None = None
    max_disagreement: float | None = None

    def __post_init__(self) -> None:
        if self.max_iou_drop is None and self.max_disagreement is None:
            raise InputError("a budget needs --max-iou-drop, or --max-disagreement where the answer isn't a mask")
        for option, limit in (("--max-iou-drop", self.max_iou_drop), ("--max-disagreement", self.max_disagreement)):
            if limit is not None and not 0 <= limit <= 100:
                raise InputError(f"{option}: expected points from 0 to 100, such as 0.5, received {limit:g}")
        if self.max_latency_ms is not None and not 0 < self.max_latency_ms < math.inf:
            raise InputError(f"--max-latency-ms: expected more than 0, received {self.max_latency_ms:g}")

    @property
    def limits(self) -> dict[str, float]:
        """Those that are set, by metric."""
        limits = {
            IOU_DROP: self.max_iou_drop,
            DISAGREEMENT: self.max_disagreement,
            LATENCY: self.max_latency_ms,
        }
        return {metric: limit for metric, limit in limits.items() if limit is not None}

    @property
    def accuracy(self) -> str:
        """The metric that says how far a candidate is from its source."""
        return DISAGREEMENT if self.max_iou_drop is None else IOU_DROP

    def accepts_accuracy(
        self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS
    ) -> bool:
        """Whether the losses among these are within their limit; other limits may be broken or unmeasured."""
        return not self._find_losses_broken(measurements, kinds)

    def judge(self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS) -> Verdict:
        """The verdict on the figures that a winner is chosen by.

        The loss itself is within its limit, and that of no kind of scene surely beyond; of other limits the pessimistic
        end counts. What wasn't measured is broken.

        kinds: the loss in each kind of scene.
        """
        known = tuple(measurements)
        return Verdict((*self._find_losses_broken(known, kinds), *self._find_others_broken(known)))

    def confirm(self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement] = NO_KINDS) -> Verdict:
        """The verdict on the figures of pictures that had no part in the choice.

        The loss is within its limit, and its interval ends within twice the limit. The same holds in each kind of scene
        that has enough pictures to tell; no other kind's loss is surely beyond the limit.
        """
        known = tuple(measurements)
        return Verdict((*self._find_losses_broken(known, kinds, enough=ENOUGH), *self._find_others_broken(known)))

    def _find_losses_broken(
        self, measurements: Iterable[Measurement], kinds: Mapping[str, Measurement], enough: int | None = None
    ) -> list[str]:
        """In words. enough: pictures that a kind has for its interval to count; None where no interval does."""
        metric, limit = self.accuracy, self.limits[self.accuracy]
        whole = next((item for item in measurements if item.metric == metric), None)
        if whole is None:
            return [f"{metric} was not measured"]
        broken = []
        for where, item in {"": whole, **{f" in {kind}": loss for kind, loss in kinds.items()}}.items():
            figure = f"{metric}{where} is {item.value:.3g} {item.unit}, the limit is {limit:g}"
            strict = not where or (enough is not None and item.samples >= enough)
            if not (item.value if strict else item.low) <= limit:  # so that NaN, too, is broken
                broken.append(figure if strict else f"{figure}, and it is surely above")
            elif strict and enough is not None and not item.high <= REACH * limit:
                broken.append(
                    f"{metric}{where} may reach {item.high:.3g} {item.unit}, the interval's limit is {REACH * limit:g}"
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
