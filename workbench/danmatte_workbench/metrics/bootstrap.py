"""The interval of a figure over many items."""

from collections.abc import Callable

import numpy as np

from danmatte.contract.measurement import Host, Measurement

RESAMPLES = 1000


def bootstrap(metric: str, unit: str, value: Callable[[np.ndarray], float], count: int, host: Host) -> Measurement:
    """The percentile bootstrap (Efron 1979) from a fixed seed; ``value`` is the figure of the items at some places."""
    rng = np.random.default_rng(0)
    draws = [value(rng.integers(count, size=count)) for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, (2.5, 97.5))
    middle = value(np.arange(count))
    return Measurement(
        metric=metric,
        value=middle,
        unit=unit,
        low=min(float(low), middle),
        high=max(float(high), middle),
        samples=count,
        host=host,
    )
