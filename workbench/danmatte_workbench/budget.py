"""What a winner may cost, and whether a candidate keeps to it."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from danmatte.contract.measurement import Measurement
from danmatte_workbench.errors import InputError

IOU_DROP = "iou_drop"
DISAGREEMENT = "disagreement"
LATENCY = "latency"


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

    def accepts_accuracy(self, measurements: Iterable[Measurement]) -> bool:
        """Whether the accuracy among these is within its limit; other limits may be broken or unmeasured."""
        return not self.judge_accuracy(measurements)

    def judge_accuracy(self, measurements: Iterable[Measurement]) -> str:
        """What is broken of the limit of accuracy alone, in words; empty for nothing."""
        return "; ".join(self._find_broken({self.accuracy: self.limits[self.accuracy]}, measurements))

    def judge(self, measurements: Iterable[Measurement]) -> Verdict:
        """The verdict: the pessimistic end of each interval counts, and what wasn't measured is broken."""
        return Verdict(tuple(self._find_broken(self.limits, measurements)))

    @staticmethod
    def _find_broken(limits: Mapping[str, float], measurements: Iterable[Measurement]) -> list[str]:
        known = {item.metric: item for item in measurements}
        broken = []
        for metric, limit in limits.items():
            measured = known.get(metric)
            if measured is None:
                broken.append(f"{metric} was not measured")
            elif not measured.high <= limit:  # so that NaN, too, is broken
                broken.append(f"{metric} may reach {measured.high:.3g} {measured.unit}, the limit is {limit:g}")
        return broken
