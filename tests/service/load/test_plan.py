"""What is said of rounds in which plans and the service were compared."""

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
NEVER_SLOW = Pace({core: np.zeros(0) for core in list_cpus()}, 0.0)
SLOW_AT_FIRST = Pace({core: np.array([0.1]) for core in list_cpus()}, 0.5)  # a request a second is hit once


def make_replies(*latencies_s: float) -> list[PostResult]:
    """A request each second; of an answer 5 ms are waiting and the event loop's."""
    return [
        PostResult(200, took_s, 0.004, took_s - 0.005, 1, float(number))
        if np.isfinite(took_s)
        else PostResult(429, 0.001, due_s=float(number))
        for number, took_s in enumerate(latencies_s)
    ]


def make_loops(*latencies_s: float) -> list[LoopRun]:
    """An open loop and a busy one, of one core."""
    return [LoopRun(1, connections, FRAME, 2.0, make_replies(*latencies_s)) for connections in (0, 4)]


def describe(pace: Pace, *latencies_s: float) -> plan.Row:
    """What is said of a load with these latencies, by the capacity of loops that took 25 ms a frame."""
    streams, check = Streams(1, 4, "periodic"), CheckOptions(len(latencies_s) / 4, plan.PATTERNS)
    loops = make_loops(*[0.025] * 20)
    capacity = make_capacity(*(loop.summarize() for loop in loops))
    capacities = plan.Capacities(capacity, capacity)
    return plan.LoadRun(1, streams, check, 0.5, make_replies(*latencies_s)).describe(pace, capacities)


def make_row(share: float, streams: int, measured_ms: float, *, counted: int = 5) -> plan.Row:
    predicted_ms = 20.0
    figures = {
        "predicted": {"p99_ms": predicted_ms},
        "predicted_from_one_core": {"p99_ms": predicted_ms},
        "measured": {"p99_ms": measured_ms, "p99_of_all_ms": measured_ms},
    }
    facts = {"cores": 2, "pattern": "periodic", "share": share, "streams": streams, "requests": 10, "counted": counted}
    return facts | {"counting": figures, "all": figures}


def test_requests_of_a_slow_core_count_on_neither_side() -> None:
    row = describe(SLOW_AT_FIRST, 0.5, 0.02, 0.02, 0.02)
    assert (row["requests"], row["counted"]) == (4, 3)
    assert row["counting"]["measured"]["p99_ms"] == pytest.approx(20)
    assert row["all"]["measured"]["p99_ms"] > 400


def test_refused_requests_are_counted_beside_the_time_of_the_answered() -> None:
    row = describe(NEVER_SLOW, 0.02, np.inf, 0.02, 0.02)
    assert row["counting"]["measured"]["p99_ms"] == pytest.approx(20)
    assert row["counting"]["measured"]["refused_share"] == 0.25
    assert row["counting"]["measured"]["p99_of_all_ms"] == np.inf


def test_a_load_is_predicted_by_frames_that_count() -> None:
    loops = make_loops(0.5, *[0.025] * 19)
    capacity = make_capacity(*(loop.summarize() for loop in loops))
    found = plan.Capacities.find(capacity, loops, SLOW_AT_FIRST)
    slow, quiet = (each.model_worker(1).light_s.mean() for each in (found.all, found.counting))
    assert slow > 1.5 * quiet


def test_a_loop_of_which_hardly_anything_counts_is_taken_whole() -> None:
    loops = make_loops(*[0.025] * 20)
    capacity = make_capacity(*(loop.summarize() for loop in loops))
    always = Pace({core: np.arange(0, 20, 0.1) for core in list_cpus()}, 1.0)
    assert plan.Capacities.find(capacity, loops, always).counting == capacity


def test_rounds_medians_count_and_shares_find_their_group() -> None:
    rounds = [{"loads": [make_row(0.49, 4, measured_ms)]} for measured_ms in (10, 20, 80)]
    (found,) = plan.compare_loads(rounds)
    assert (found["share"], found["ratio"], found["rounds"]) == (0.5, 1.0, [2.0, 1.0, 0.25])
    assert found["counted"] == 0.5


def test_a_round_in_which_hardly_a_request_counts_says_nothing_of_its_load() -> None:
    rounds = [{"loads": [make_row(0.5, 4, 20), make_row(0.7, 6, 20, counted=2)]}, {"loads": [make_row(0.5, 4, 40)]}]
    rounds[1]["loads"].append(make_row(0.5, 4, 1, counted=1))
    (found,) = plan.compare_loads(rounds)
    assert (found["share"], found["rounds"]) == (0.5, [1.0, 0.5])


def test_the_most_streams_are_those_before_the_first_that_are_late() -> None:
    counts = [make_row(0.8, number, late_ms) for number, late_ms in ((4, 60), (5, 99), (6, 140), (7, 90), (8, np.inf))]
    rounds = [{"counts": counts, "predicted_most": {"periodic": 6, "poisson": 3}}]
    found = plan.compare_most(rounds)[0]
    assert (found["predicted"], found["measured"]) == (6, 5)


def test_rounds_add_up_in_the_stored_file(tmp_path: Path) -> None:
    options = Namespace(json=tmp_path / "plan.json")
    assert plan.read_rounds(options) == []
    options.json.write_text(json.dumps({"rounds": [{"slow_share": 0.1}]}))
    assert plan.read_rounds(options) == [{"slow_share": 0.1}]
