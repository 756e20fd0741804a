"""What is said of rounds in which plans and the service were compared."""

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.load import PostResult
from danmatte.capacity.simulation import Outcomes
from danmatte.contract.cores import list_cpus
from load import plan
from load.pace import Pace


def make_run(*latencies_s: float, predicted_s: float = 0.02) -> plan.LoadRun:
    """A request each second."""
    replies = [
        PostResult(200 if np.isfinite(took_s) else 429, took_s, due_s=float(number))
        for number, took_s in enumerate(latencies_s)
    ]
    outcomes = [Outcomes(np.full(len(replies), predicted_s), 0.5)]
    return plan.LoadRun(1, Streams(4, 5, "poisson"), 0.5, outcomes, outcomes, replies)


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
    pace = Pace({list_cpus()[0]: np.array([1.1])}, 0.1)
    row = make_run(0.02, 0.5, 0.02).describe(pace)
    assert (row["requests"], row["counted"]) == (3, 2)
    assert row["counting"]["measured"]["p99_ms"] == pytest.approx(20)
    assert row["all"]["measured"]["p99_ms"] > 400


def test_refused_requests_are_counted_beside_the_time_of_the_answered() -> None:
    row = make_run(0.02, np.inf, 0.02, 0.02).describe(Pace({list_cpus()[0]: np.zeros(0)}, 0))
    assert row["counting"]["measured"]["p99_ms"] == pytest.approx(20)
    assert row["counting"]["measured"]["refused_share"] == 0.25
    assert row["counting"]["measured"]["p99_of_all_ms"] == np.inf


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
