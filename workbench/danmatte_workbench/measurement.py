"""What was measured: no number without an interval and a host."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Host:
    """The machine that a measurement was made on. ``features`` are instruction sets, as the kernel names them."""

    cpu: str
    cores: int
    memory_bytes: int
    features: tuple[str, ...]
    os: str
    python: str


@dataclass(frozen=True)
class Measurement:
    """A value in ``unit`` and the interval [low, high] that holds it with 95 % confidence."""

    metric: str
    value: float
    unit: str
    low: float
    high: float
    samples: int
    host: Host

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.low, self.value, self.high)):
            raise ValueError(f"{self.metric}: expected finite numbers. Received: {self.low}, {self.value}, {self.high}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.metric}: {self.value} lies outside [{self.low}, {self.high}]")
        if self.samples < 1:
            raise ValueError(f"{self.metric}: expected at least one sample. Received: {self.samples}")

    @classmethod
    def median(cls, metric: str, samples: Sequence[float], unit: str, host: Host) -> Self:
        """The median and its distribution-free interval, from order statistics (binomial, normal approximation)."""
        ordered = sorted(samples)
        count = len(ordered)
        reach = 0.98 * math.sqrt(count)
        low = ordered[max(0, math.floor(count / 2 - reach))]
        high = ordered[min(count - 1, math.ceil(count / 2 + reach))]
        middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        return cls(metric=metric, value=middle, unit=unit, low=low, high=high, samples=count, host=host)

    @property
    def numbers(self) -> dict[str, Any]:
        """As run.json has it, whose metric and host are said elsewhere."""
        return {name: getattr(self, name) for name in ("value", "low", "high", "unit", "samples")}

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} [{self.low:.4g}, {self.high:.4g}]"
