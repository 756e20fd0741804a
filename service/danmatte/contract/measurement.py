"""A number that was measured: never without an interval and a host."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from msgspec import Meta, Struct

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Samples = Annotated[int, Meta(ge=1, le=2**53)]


class Host(Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that something was measured on; features are instruction sets, as the kernel names them."""

    cpu: str
    cores: Count
    memory_bytes: Count
    features: tuple[str, ...]
    os: str
    python: str


class Measurement(Struct, frozen=True, forbid_unknown_fields=True):
    """A value in a unit, and the interval from low to high that holds it with 95 % confidence."""

    metric: Text
    value: float
    unit: str
    low: float
    high: float
    samples: Samples
    host: Host

    def __post_init__(self) -> None:
        """Raises ValueError for a number that isn't finite, an interval without the value, and no samples."""
        numbers = f"{self.low}, {self.value}, {self.high}"
        if not all(math.isfinite(number) for number in (self.low, self.value, self.high)):
            raise ValueError(f"Expected finite numbers for {self.metric}, received {numbers}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"Expected low <= value <= high for {self.metric}, received {numbers}")
        if self.samples < 1:
            raise ValueError(f"Expected at least one sample for {self.metric}, received {self.samples}")

    @classmethod
    def estimate_median(cls, metric: str, samples: Sequence[float], unit: str, host: Host) -> Self:
        """The median and its distribution-free interval, from order statistics (binomial, normal approximation)."""
        ordered = sorted(samples)
        count = len(ordered)
        reach = 0.98 * math.sqrt(count)  # 1.96 standard deviations of a binomial with p = ½
        low = ordered[max(0, math.floor(count / 2 - reach))]
        high = ordered[min(count - 1, math.ceil(count / 2 + reach))]
        middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
        return cls(metric=metric, value=middle, unit=unit, low=low, high=high, samples=count, host=host)

    @property
    def numbers(self) -> dict[str, Any]:
        """The measurement without its metric and host, for files that give those elsewhere."""
        return {name: getattr(self, name) for name in ("value", "low", "high", "unit", "samples")}

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} [{self.low:.4g}, {self.high:.4g}]"
