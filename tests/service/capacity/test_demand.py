"""Loads that are multiplied, and distributed over pods."""

import numpy as np
import pytest

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.demand import REQUESTS, StreamDemand, TraceDemand


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("pods", "factor", "count"), [(1, 1.0, 10), (3, 1.0, 4), (10, 1.0, 1), (20, 1.0, 1), (3, 1.3, 5)]
)
def test_every_simulated_pod_has_its_share_of_streams_rounded_up(pods: int, factor: float, count: int) -> None:
    demand = StreamDemand(Streams(10, 5))
    assert demand.count_in_pod(pods, factor) == count
    assert all(len(set(part.callers)) == count for part in demand.deal(pods, factor, chance()))


def test_replications_have_enough_requests_and_different_arrivals() -> None:
    dealt = StreamDemand(Streams(10, 5)).deal(2, 1.0, chance())
    assert sum(len(part.moments_s) for part in dealt) >= REQUESTS
    assert len({part.moments_s[0] for part in dealt}) == len(dealt)


def test_a_step_of_the_load_adds_one_stream_to_every_pod() -> None:
    demand = StreamDemand(Streams(1000, 5))
    step = demand.find_step(100)
    assert [demand.count_in_pod(100, step * number) for number in (1, 2, 13)] == [1, 2, 13]
    assert demand.describe(13 * step) == "1300 streams"
    assert demand.count_per_s(13 * step) == pytest.approx(6500)


def test_a_demand_can_change_to_a_different_arrival_pattern() -> None:
    demand = StreamDemand(Streams(10, 5, "jitter", 0.01), 1000)
    assert demand.use("jitter") is demand
    assert demand.use("poisson") == StreamDemand(Streams(10, 5, "poisson", 0.01), 500)


def test_each_recorded_caller_is_assigned_to_one_pod_with_all_its_requests() -> None:
    recorded = Streams(30, 5).draw(10, chance())
    dealt = TraceDemand(recorded).deal(4, 1.0, chance())
    callers = [set(part.callers.tolist()) for part in dealt]
    assert len(dealt) == 4
    assert sum(map(len, callers)) == len(set().union(*callers)) == 30
    assert sum(len(part.moments_s) for part in dealt) == len(recorded.moments_s)


def test_a_recorded_load_is_described_by_its_factor() -> None:
    demand = TraceDemand(Streams(30, 5).draw(10, chance()))
    assert demand.describe(1.3) == "1.30 times the recorded load"
    assert demand.use("poisson") is None
    assert demand.count_per_s(2.0) == pytest.approx(300, rel=0.03)
    assert demand.find_step(7) == demand.find_step(1)


def test_a_heavy_callers_requests_are_spread_over_pods() -> None:
    recorded = Streams(1, 200, "poisson").draw(20, chance())
    sizes = [len(part.moments_s) for part in TraceDemand(recorded).deal(4, 1.0, chance())]
    assert len(sizes) == 4
    assert sum(sizes) == len(recorded.moments_s)
    assert max(sizes) < 0.3 * sum(sizes)
