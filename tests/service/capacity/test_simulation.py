"""The simulated worker agrees with queueing theory, and with the service's real admission."""

import math

import numpy as np
import pytest

from danmatte.capacity.arrivals import Arrivals, Seconds, Streams
from danmatte.capacity.simulation import Outcomes, WorkerModel, join, simulate
from tests.service.capacity.virtual_service import serve

FIXED = np.ones(1)
_RANKS = (np.arange(20_000) + 0.5) / 20_000
EXPONENTIAL = -np.log(1 - _RANKS) / -np.log(1 - _RANKS).mean()
FOR_EVER = 10**9


def make_worker(cores: int, seconds: Seconds = FIXED, **limits: float) -> WorkerModel:
    """Return a worker without limits and without pairs of frames, whose times don't depend on the load."""
    free = {"permits": FOR_EVER, "places": FOR_EVER, "max_wait_s": 0, "deadline_s": FOR_EVER, "together": 1}
    return WorkerModel(cores=cores, light_s=seconds, full_s=seconds, **{**free, **limits})


def draw_poisson(rate: float, count: int, seed: int, callers: int = 1) -> Arrivals:
    """Return arrivals at random times, of random callers."""
    chance = np.random.default_rng(seed)
    return Arrivals(np.cumsum(chance.exponential(1 / rate, count)), chance.integers(0, callers, count))


def compute_erlang_c(cores: int, load: float) -> float:
    """Return the probability of waiting in M/M/c; `load` is the offered load in erlangs (Erlang 1917)."""
    blocked = 1.0
    for number in range(1, cores + 1):  # Erlang B by its recursion
        blocked = load * blocked / (number + load * blocked)
    return cores * blocked / (cores - load * (1 - blocked))


def solve_constant_service(cores: int, load: float) -> float:
    """Return the mean wait in M/D/c, in service times (Crommelin 1932).

    After one service time, all requests now in service have left, and a Poisson number has arrived. The number of
    requests is thus a Markov chain, whose stationary mean gives the wait by Little's law.
    """
    size = 400
    ranks = np.arange(size)
    logs = ranks * math.log(load) - load - np.array([math.lgamma(rank + 1) for rank in ranks])
    coming, inside = np.exp(logs), np.eye(1, size)[0]  # empty at first
    for _ in range(2000):
        left = np.concatenate([[inside[: cores + 1].sum()], inside[cores + 1 :]])
        inside = np.convolve(left, coming)[:size]
        inside /= inside.sum()
    return float((ranks * inside).sum()) / load - 1


@pytest.mark.parametrize(
    ("cores", "busy", "table"), [(1, 0.5, 0.5), (2, 0.5, 1 / 3), (2, 0.8, 0.7111), (5, 0.8, 0.5541)]
)
def test_the_erlang_c_formula_matches_published_tables(cores: int, busy: float, table: float) -> None:
    assert compute_erlang_c(cores, cores * busy) == pytest.approx(table, rel=1e-3)


@pytest.mark.parametrize(("busy", "table"), [(0.3, 0.3 / 1.4), (0.5, 0.5), (0.8, 2.0), (0.9, 4.5)])
def test_the_markov_chain_of_constant_service_matches_pollaczek_khinchine(busy: float, table: float) -> None:
    assert solve_constant_service(1, busy) == pytest.approx(table, rel=1e-3)  # Pollaczek and Khinchine


@pytest.mark.parametrize(("cores", "busy"), [(1, 0.5), (2, 0.6), (4, 0.7)])
def test_simulated_waits_with_random_service_times_match_erlang_c(cores: int, busy: float) -> None:
    expected = compute_erlang_c(cores, cores * busy) / (cores * (1 - busy))
    assert measure_wait(cores, busy, EXPONENTIAL, 3) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("cores", "busy"), [(1, 0.6), (2, 0.7), (4, 0.7)])
def test_simulated_waits_with_constant_service_times_match_crommelin(cores: int, busy: float) -> None:
    assert measure_wait(cores, busy, FIXED, 3) == pytest.approx(solve_constant_service(cores, cores * busy), rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("cores", [1, 2, 8])
@pytest.mark.parametrize("busy", [0.5, 0.8])
def test_simulated_waits_match_theory_for_more_cores_and_loads(cores: int, busy: float) -> None:
    random = compute_erlang_c(cores, cores * busy) / (cores * (1 - busy))
    constant = solve_constant_service(cores, cores * busy)
    # a few long runs, because the accuracy of a mean wait depends on the number of busy periods
    assert measure_wait(cores, busy, EXPONENTIAL, 20) == pytest.approx(random, rel=0.02, abs=0.002)
    assert measure_wait(cores, busy, FIXED, 8) == pytest.approx(constant, rel=0.02, abs=0.002)


def measure_wait(cores: int, busy: float, seconds: Seconds, runs: int) -> float:
    """Return the mean wait in simulations of 100,000 requests each, with exactly the requested load.

    The wait depends strongly on the load, and the load of random arrivals varies. The arrivals of each run are
    therefore scaled to the requested mean rate.
    """
    waits = []
    for seed in range(runs):
        drawn = draw_poisson(cores * busy, 100_000, seed)
        moments = drawn.moments_s * (100_000 / (cores * busy) / drawn.moments_s[-1])
        found = simulate(make_worker(cores, seconds), Arrivals(moments, drawn.callers), np.random.default_rng(seed))
        waits.append(float(found.latencies_s.mean()) - 1)
    return float(np.mean(waits))


CROWDS = {
    "one caller, too much": (make_worker(2, permits=8, places=64, deadline_s=60, together=2), 3.0, 1),
    "many callers": (make_worker(2, permits=8, places=64, deadline_s=60, together=2), 2.5, 12),
    "few places": (make_worker(1, permits=2, places=5, deadline_s=60, max_wait_s=20, together=2), 2.0, 3),
    "short deadlines": (make_worker(2, permits=4, places=64, deadline_s=6, max_wait_s=5, together=2), 2.6, 4),
    "long waits": (make_worker(4, permits=16, places=64, deadline_s=60, max_wait_s=9, together=2), 5.0, 5),
    "little to do": (make_worker(2, permits=8, places=64, deadline_s=60, together=2), 1.0, 3),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_simulated_requests_have_the_outcomes_of_the_services_real_admission(
    crowd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits, rate, callers = CROWDS[crowd]
    quantiles = np.linspace(0.4, 1.6, 101)
    worker = make_worker(
        limits.cores,
        quantiles,
        permits=limits.permits,
        places=limits.places,
        deadline_s=limits.deadline_s,
        max_wait_s=limits.max_wait_s,
        together=limits.together,
    )
    arrivals = draw_poisson(rate, 3000, 5, callers)
    arrivals.callers[arrivals.callers > 1] //= 2  # so that some callers send more than others
    seconds = quantiles[np.random.default_rng(6).integers(0, 101, 3000)]
    simulated = simulate(worker, arrivals, np.random.default_rng(6))
    real = serve(worker, arrivals, seconds, monkeypatch)
    assert (np.isinf(real) == np.isinf(simulated.latencies_s)).mean() > 0.999
    both = np.isfinite(real) & np.isfinite(simulated.latencies_s)
    assert np.isclose(real[both], simulated.latencies_s[both], atol=1e-6).mean() > 0.999
    assert (simulated.refused_share > 0) == (crowd != "little to do")


def test_service_times_grow_from_light_to_full_load() -> None:
    worker = WorkerModel(2, 8, 64, 0, 60, FIXED, 2 * FIXED, light_overhead_s=0.1, full_overhead_s=0.3)
    far_apart = Arrivals(np.arange(10) * 100.0, np.zeros(10, dtype=int))
    at_once = Arrivals(np.zeros(10), np.zeros(10, dtype=int))
    assert simulate(worker, far_apart, np.random.default_rng(0)).latencies_s == pytest.approx(1.1)
    found = simulate(worker, at_once, np.random.default_rng(0)).latencies_s
    # the first two get a thread each, the second at half load; then both threads take pairs
    assert found[:2] == pytest.approx([1 + 0.3, 1.5 + 0.3], abs=0.15)
    assert found[-1] > 8


def test_both_requests_of_a_pair_finish_together() -> None:
    worker = make_worker(1, permits=4, places=64, together=2, deadline_s=60)
    found = simulate(worker, Arrivals(np.array([0, 0.1, 0.2]), np.zeros(3, dtype=int)), np.random.default_rng(0))
    assert found.latencies_s == pytest.approx([1.0, 2.9, 2.8])


def test_refused_requests_have_infinite_latency() -> None:
    found = Outcomes(np.array([1.0] * 97 + [np.inf] * 3), 0.5)
    assert found.refused_share == 0.03
    assert found.percentile_s(50) == 1.0
    assert found.percentile_s(99) == math.inf


def test_joined_runs_keep_all_latencies_and_average_the_busy_share() -> None:
    both = join([Outcomes(np.array([1.0, 2.0]), 0.2), Outcomes(np.array([np.inf]), 0.4)])
    assert both.latencies_s.tolist() == [1.0, 2.0, np.inf]
    assert both.busy == pytest.approx(0.3)


def test_simulating_no_arrivals_gives_no_latencies() -> None:
    nothing = simulate(make_worker(1), Arrivals(np.zeros(0), np.zeros(0, dtype=int)), np.random.default_rng(0))
    assert nothing.refused_share == 0
    assert nothing.percentile_s(99) == 0


def test_the_busy_share_of_threads_matches_the_load() -> None:
    arrivals = Streams(4, 0.1).draw(1000, np.random.default_rng(0))
    assert simulate(make_worker(2), arrivals, np.random.default_rng(0)).busy == pytest.approx(0.2, rel=0.03)


def test_the_same_seed_gives_the_same_outcomes() -> None:
    worker, arrivals = make_worker(2, EXPONENTIAL), draw_poisson(1.5, 1000, 0)
    first, again = (simulate(worker, arrivals, np.random.default_rng(7)).latencies_s for _ in range(2))
    assert (first == again).all()


def test_the_rate_of_a_worker_uses_service_times_at_full_load() -> None:
    assert WorkerModel(4, 8, 64, 0, 60, FIXED, 2 * FIXED).per_s == 2
