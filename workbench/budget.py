"""What a winner may cost, and whether a candidate keeps to it."""

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.measurement import Measurement

IOU_DROP = "iou_drop"
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
    """Limits: IoU lost against the source in points (hundredths), and milliseconds per frame."""

    max_iou_drop: float
    max_latency_ms: float | None = None

    def judge(self, measurements: Mapping[str, Measurement]) -> Verdict:
        """The pessimistic end of each interval counts; what wasn't measured is broken."""
        limits = {IOU_DROP: self.max_iou_drop, LATENCY: self.max_latency_ms}
        broken = []
        for metric, limit in limits.items():
            if limit is None:
                continue
            measured = measurements.get(metric)
            if measured is None:
                broken.append(f"{metric} was not measured")
            elif not measured.high <= limit:
                broken.append(f"{metric} may reach {measured.high:.3g} {measured.unit}, the limit is {limit:g}")
        return Verdict(tuple(broken))
