"""Every measured number has an interval that contains it."""

import math

import numpy as np
import pytest

from danmatte.contract.measurement import Host, Measurement

HOST = Host(cpu="x", cores=2, memory_bytes=1, features=("avx2",), os="Linux 6", python="3.11.0")


def measure(metric: str, value: float, *, low: float | None = None, high: float | None = None) -> Measurement:
    """Return a measurement, whose interval is by default a point."""
    return Measurement(metric, value, "u", value if low is None else low, value if high is None else high, 5, HOST)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["value", "low", "high"])
def test_a_measurement_with_a_number_that_is_not_finite_is_refused(wrong: float, place: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        measure("latency", **({"value": 1.0} | {place: wrong}))


@pytest.mark.parametrize(("low", "high"), [(2, 3), (0, 0.5), (3, 0)])
def test_an_interval_without_the_value_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low <= value <= high"):
        measure("latency", 1, low=low, high=high)


def test_a_measurement_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="one sample"):
        Measurement("latency", 1, "ms", 1, 1, samples=0, host=HOST)


def test_the_median_of_an_even_number_of_samples_is_the_mean_of_the_middle_two() -> None:
    found = Measurement.estimate_median("latency", [4, 1, 3, 2], "ms", HOST)
    assert (found.value, found.samples) == (2.5, 4)


def test_the_interval_of_one_sample_is_the_sample() -> None:
    found = Measurement.estimate_median("latency", [7], "ms", HOST)
    assert (found.low, found.value, found.high) == (7, 7, 7)


def test_the_interval_contains_the_true_median_with_95_percent_confidence() -> None:
    rng = np.random.default_rng(1)
    draws = [Measurement.estimate_median("x", rng.exponential(1, 31).tolist(), "s", HOST) for _ in range(400)]
    held = sum(draw.low <= math.log(2) <= draw.high for draw in draws)
    assert held / len(draws) > 0.92


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
def test_a_quantile_is_the_value_that_its_share_of_the_samples_does_not_exceed(share: float) -> None:
    samples = [float(number) for number in range(1, 1001)]
    found = Measurement.estimate_quantile("latency", samples[::-1], "ms", HOST, share=share)
    assert found.value == pytest.approx(1000 * share, abs=1)
    assert found.low < found.value <= found.high <= 1000
    assert found.samples == 1000


def test_the_interval_contains_the_true_quantile_with_95_percent_confidence() -> None:
    rng = np.random.default_rng(3)
    draws = [
        Measurement.estimate_quantile("x", rng.exponential(1, 400).tolist(), "s", HOST, share=0.95) for _ in range(300)
    ]
    held = sum(draw.low <= -math.log(0.05) <= draw.high for draw in draws)
    assert held / len(draws) > 0.92


def test_widening_scales_the_interval_around_its_value() -> None:
    found = Measurement("latency", 10.0, "ms", 9.0, 12.0, 5, HOST).widen(1.5)
    assert (found.low, found.value, found.high) == (8.5, 10.0, 13.0)
    assert found.widen(1.0) == found


def test_widening_keeps_a_positive_interval_positive() -> None:
    speed = measure("throughput", 10.0, low=4.0, high=12.0).widen(2.0)
    assert (speed.low, speed.high) == (pytest.approx(1.6), 14.0)
    lost = measure("iou_drop", 0.5, low=-0.5, high=1.0).widen(2.0)
    assert lost.low == -1.5


def test_more_samples_narrow_the_interval() -> None:
    rng = np.random.default_rng(2)
    few, many = (Measurement.estimate_median("x", rng.normal(size=count).tolist(), "s", HOST) for count in (20, 2000))
    assert many.high - many.low < few.high - few.low
