"""Figures of rounds that compare predictions with the service."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.capacity import FrameKind
from danmatte.capacity.check import CheckOptions
from danmatte.capacity.load import PostResult
from danmatte.capacity.measure import LoopRun
from danmatte.contract.cores import list_cpus
from load import plan
from load.pace import Pace
from tests.service.capacity.measured import make_capacity

FRAME = FrameKind("jpeg", 1280, 720)
CORES = list_cpus()
EVEN = Pace(dict.fromkeys(CORES, 0.0), {core: np.ones(1) for core in CORES})
SLOW = Pace(dict.fromkeys(CORES, 0.0), {core: np.full(1, 1.5) for core in CORES})


def make_replies(*latencies_s: float) -> list[PostResult]:
    """Return replies to a request each second; 5 ms of each are waiting and the event loop's."""
    return [
        PostResult(200, took_s, 0.004, took_s - 0.005, 1, float(number))
        if np.isfinite(took_s)
        else PostResult(429, 0.001, due_s=float(number))
        for number, took_s in enumerate(latencies_s)
    ]


def make_loops(*latencies_s: float) -> list[LoopRun]:
    """Return an open loop and a busy one on one core."""
    return [LoopRun(1, connections, FRAME, 2.0, make_replies(*latencies_s)) for connections in (0, 4)]


def describe(pace: Pace, *latencies_s: float) -> plan.Row:
    """Return the figures of a load with these latencies, by the capacity of loops with 25 ms per frame."""
    loops = make_loops(*[0.025] * 20)
    capacity = make_capacity(*(loop.summarize() for loop in loops))
    check = CheckOptions(len(latencies_s) / 4, plan.PATTERNS)
    run = plan.LoadRun(1, Streams(1, 4, "periodic"), check, 0.5, 0.0, make_replies(*latencies_s))
    return run.describe(pace, plan.Capacities(capacity, capacity))


def make_row(share: float, streams: int, measured_ms: float, predicted_ms: float = 20.0) -> plan.Row:
    """Return a load on two cores."""
    figures = {"p99_ms": predicted_ms, "p99_of_all_ms": predicted_ms}
    predicted = dict.fromkeys(("paced", "paced_from_one_core", "plain"), figures)
    facts = {"cores": 2, "pattern": "periodic", "share": share, "streams": streams}
    return facts | predicted | {"measured": {"p99_ms": measured_ms, "p99_of_all_ms": measured_ms}}


def test_predicted_latency_grows_with_the_slowness_of_the_cores() -> None:
    even, slow = (describe(pace, *[0.02] * 20) for pace in (EVEN, SLOW))
    assert even["paced"] == even["plain"]
    assert slow["paced"]["p50_ms"] == pytest.approx(1.5 * slow["plain"]["p50_ms"])
    assert (even["slowness"], slow["slowness"]) == (1.0, 1.5)


def test_times_measured_on_slow_cores_are_corrected_to_full_speed() -> None:
    loops = make_loops(*[0.025] * 20)
    capacity = make_capacity(*(loop.summarize() for loop in loops))
    found = plan.Capacities.find(capacity, loops, SLOW)
    slow, even = (each.model_worker(1).light_s.mean() for each in (found.plain, found.paced))
    assert slow == pytest.approx(1.5 * even, rel=1e-3)
    assert plan.Capacities.find(capacity, loops, EVEN).paced == capacity


def test_refused_requests_are_counted_separately_from_the_latency_of_accepted_ones() -> None:
    measured = describe(EVEN, 0.02, np.inf, 0.02, 0.02)["measured"]
    assert measured["p99_ms"] == pytest.approx(20)
    assert measured["refused_share"] == 0.25
    assert measured["p99_of_all_ms"] == np.inf


def test_loads_are_grouped_by_share_and_compared_by_the_median_of_rounds() -> None:
    rounds = [{"loads": [make_row(0.49, 4, measured_ms)]} for measured_ms in (10, 20, 80)]
    (found,) = plan.compare_loads(rounds)
    assert (found["share"], found["ratio"], found["rounds"]) == (0.5, 1.0, [2.0, 1.0, 0.25])


def test_the_most_streams_are_the_last_count_before_the_first_late_one() -> None:
    late_ms = {4: 60, 5: 99, 6: 140, 7: 90, 8: np.inf}
    rounds = [{"counts": [make_row(0.8, number, took_ms, 20 * number - 30) for number, took_ms in late_ms.items()]}]
    found = plan.compare_most(rounds)[0]
    assert (found["predicted"], found["measured"]) == (6, 5)


def test_stored_rounds_are_read_and_a_missing_file_has_none(tmp_path: Path) -> None:
    options = Namespace(json=tmp_path / "plan.json")
    assert plan.read_rounds(options) == []
    options.json.write_text(json.dumps({"rounds": [{"slow_share": 0.1}]}))
    assert plan.read_rounds(options) == [{"slow_share": 0.1}]
