"""Plans are correct: the planned load meets the requirement in the simulation, and the next larger one doesn't."""

import re

import numpy as np
import pytest

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.capacity import Capacity
from danmatte.capacity.demand import StreamDemand, TraceDemand
from danmatte.capacity.plan import Cluster, Plan, Planner, Requirement, make_plan
from danmatte.errors import InvalidParameterError
from tests.service.capacity.measured import RAW, make_capacity

LIMIT = Requirement(0.1)
STREAMS = StreamDemand(Streams(60, 5, "jitter", 0.01), requests=4000)


@pytest.fixture(scope="module")
def capacity() -> Capacity:
    return make_capacity()


@pytest.fixture(scope="module")
def plan(capacity: Capacity) -> Plan:
    return make_plan(capacity, STREAMS, LIMIT, Cluster(cores_per_machine=4, growth=1.3))


def test_the_plan_meets_the_limits_even_with_one_machine_fewer(plan: Plan) -> None:
    for figures in (plan.today, plan.grown, plan.one_fewer, plan.largest):
        assert figures.p99_ms <= 100
        assert figures.refused_share <= 0.001
    assert plan.one_fewer.pods == plan.pods - 2
    assert plan.today.p99_ms <= plan.one_fewer.p99_ms


def test_one_pod_fewer_would_exceed_the_limits(capacity: Capacity, plan: Plan) -> None:
    planner = Planner(capacity.model_worker(2), LIMIT)
    assert planner.meets(planner.predict(STREAMS, plan.pods_needed, 1.3))
    assert not planner.meets(planner.predict(STREAMS, plan.pods_needed - 1, 1.3))


def test_machines_hold_the_needed_pods_plus_one_spare_machine(plan: Plan) -> None:
    assert plan.cores_per_pod == 2
    assert plan.pods_needed <= plan.pods - 2
    assert plan.machines == -(-plan.pods_needed // 2) + 1
    assert plan.cores == 4 * plan.machines


def test_the_limiting_factor_is_reported_with_its_figures(plan: Plan) -> None:
    why = r"(CPU, and with it )?(p99: \d+ ms against 100 ms|refused: .+% against 0.10%)"
    assert re.fullmatch(rf"{why}, at \d+ streams on 6 pods, cores \d+% busy", plan.binds)


def test_the_load_of_a_single_key_is_spread_over_pods_and_can_grow(capacity: Capacity) -> None:
    recorded = TraceDemand(Streams(1, 200, "poisson").draw(15, np.random.default_rng(1)))
    patient = Requirement(0.5, 0.05)
    found = [make_plan(capacity, recorded, patient, Cluster(4, growth=growth)) for growth in (1.0, 2.0)]
    assert 3 <= found[0].pods_needed < found[1].pods_needed


def test_refusals_limit_the_plan_if_the_latency_limit_is_long(capacity: Capacity) -> None:
    bursts = StreamDemand(Streams(60, 5, "poisson"), requests=4000)
    found = make_plan(capacity, bursts, Requirement(5.0, 0.0), Cluster(4))
    assert "refused" in found.binds


def test_periodic_arrivals_allow_more_streams_than_random_ones(plan: Plan) -> None:
    numbers = {pattern: int(load.split()[0]) for pattern, load in plan.ranges.items()}
    assert numbers["periodic"] > numbers["poisson"]
    assert numbers["jitter"] == int(plan.largest.load.split()[0])


def test_the_latency_curve_crosses_the_limit(plan: Plan) -> None:
    rates = [point.per_s for point in plan.curve]
    assert rates == sorted(rates)
    assert rates[0] < plan.grown.per_s < rates[-1]
    for pattern in ("periodic", "jitter", "poisson"):
        assert plan.curve[0].p99_ms[pattern] < 100 < plan.curve[-1].p99_ms[pattern]


def test_a_lower_latency_limit_needs_more_machines(capacity: Capacity, plan: Plan) -> None:
    tight = make_plan(capacity, STREAMS, Requirement(0.045), Cluster(4, growth=1.3))
    assert tight.machines > plan.machines


def test_frames_of_half_the_cost_need_about_half_the_pods(capacity: Capacity, plan: Plan) -> None:
    cheap = make_plan(capacity, STREAMS, LIMIT, Cluster(4, growth=1.3), RAW)
    assert cheap.pods_needed < 0.65 * plan.pods_needed


def test_a_plan_without_a_spare_machine_needs_one_machine_fewer(capacity: Capacity, plan: Plan) -> None:
    found = make_plan(capacity, STREAMS, LIMIT, Cluster(4, spare=0, growth=1.3))
    assert found.machines == plan.machines - 1


def test_an_impossible_latency_limit_is_refused_with_the_lowest_possible_one(capacity: Capacity) -> None:
    with pytest.raises(
        InvalidParameterError, match=r"--p99-ms: expected at least the p99 of a nearly idle pod, 2\d ms"
    ):
        make_plan(capacity, STREAMS, Requirement(0.01), Cluster(4))


def test_a_pod_larger_than_a_machine_is_refused(capacity: Capacity) -> None:
    with pytest.raises(InvalidParameterError, match="--cores-per-pod: expected at most a machine's 4, received 8"):
        make_plan(capacity, STREAMS, LIMIT, Cluster(4, cores_per_pod=8))


def test_a_plan_notes_that_its_pod_size_is_extrapolated(capacity: Capacity) -> None:
    found = make_plan(capacity, STREAMS, LIMIT, Cluster(8, cores_per_pod=8))
    assert any("extrapolated" in note for note in found.notes)
    assert not any("extrapolated" in note for note in make_plan(capacity, STREAMS, LIMIT, Cluster(4)).notes)


def test_a_recorded_load_is_planned_with_its_own_arrivals(capacity: Capacity) -> None:
    recorded = TraceDemand(Streams(60, 5, "poisson").draw(15, np.random.default_rng(1)))
    found = make_plan(capacity, recorded, LIMIT, Cluster(4, growth=1.2))
    random = make_plan(capacity, StreamDemand(Streams(60, 5, "poisson"), requests=4000), LIMIT, Cluster(4, growth=1.2))
    assert abs(found.pods_needed - random.pods_needed) <= 1
    assert found.ranges == {}
    assert set(found.curve[0].p99_ms) == {"recorded"}
    assert "times the recorded load" in found.largest.load
