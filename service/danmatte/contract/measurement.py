"""Measured numbers, each with an interval and a host."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Self

from msgspec import Meta, Struct
from msgspec.structs import replace

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Samples = Annotated[int, Meta(ge=1, le=2**53)]


class Host(Struct, frozen=True, forbid_unknown_fields=True):
    """The machine that a measurement was made on; features are instruction sets, as the kernel names them."""

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
        """Raise ValueError for a number that isn't finite, an interval without the value, or no samples."""
        numbers = f"{self.low}, {self.value}, {self.high}"
        if not all(math.isfinite(number) for number in (self.low, self.value, self.high)):
            raise ValueError(f"Expected finite numbers for {self.metric}, received {numbers}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"Expected low <= value <= high for {self.metric}, received {numbers}")
        if self.samples < 1:
            raise ValueError(f"Expected at least one sample for {self.metric}, received {self.samples}")

    @classmethod
    def estimate_median(cls, metric: str, samples: Sequence[float], unit: str, host: Host) -> Self:
        """Return the median of the samples, with a distribution-free interval."""
        return cls.estimate_quantile(metric, samples, unit, host, share=0.5)

    @classmethod
    def estimate_quantile(cls, metric: str, samples: Sequence[float], unit: str, host: Host, *, share: float) -> Self:
        """Return the quantile below which a ``share`` of the samples lies, with its 95 % interval.

        The interval comes from order statistics without assuming a distribution: ranks are binomial, in the normal
        approximation. For fewer than six samples, the median's interval is from the least to the largest sample, which
        contains it less often: for three samples in 75 % of cases.
        """
        ordered = sorted(samples)
        count = len(ordered)
        rank, reach = count * share, 1.96 * math.sqrt(count * share * (1 - share))
        place = (count - 1) * share
        below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
        value = below + (above - below) * (place - math.floor(place))
        low = ordered[max(0, min(math.floor(place), math.floor(rank - reach)))]
        high = ordered[min(count - 1, max(math.ceil(place), math.ceil(rank + reach)))]
        return cls(metric=metric, value=value, unit=unit, low=low, high=high, samples=count, host=host)

    def widen(self, factor: float) -> Self:
        """Return the measurement with both ends of the interval ``factor`` times as far from the value.

        A positive lower end stays positive, because speeds and times are. If it would not, the ratio of the lower end
        to the value is raised to the power of ``factor`` instead.
        """
        low, high = self.value - factor * (self.value - self.low), self.value + factor * (self.high - self.value)
        if low <= 0 < self.low:
            low = self.value * (self.low / self.value) ** factor
        return replace(self, low=low, high=high)

    @property
    def numbers(self) -> dict[str, Any]:
        """The measurement without its metric and host, for files that state those elsewhere."""
        return {name: getattr(self, name) for name in ("value", "low", "high", "unit", "samples")}

    def __str__(self) -> str:
        return f"{self.value:.4g} {self.unit} [{self.low:.4g}, {self.high:.4g}]"
