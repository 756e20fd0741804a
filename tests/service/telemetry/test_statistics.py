"""Counts and times of versions, in Triton's format."""

import threading
import time

import pytest

from danmatte.telemetry.statistics import Executions, Statistics
from danmatte.telemetry.timing import Timing

TOY = ("toy", 2)


def spent(**ms: float) -> Timing:
    """Return a timing with these milliseconds in each phase."""
    timing = Timing()
    for name, each in ms.items():
        timing.spend(name, each)
    return timing


def test_a_version_without_requests_has_zeros() -> None:
    found = Statistics().describe("toy", 7)
    assert (found["name"], found["version"], found["inference_count"], found["last_inference"]) == ("toy", "7", 0, 0)
    assert found["batch_stats"] == found["region_stats"] == []
    assert set(found["inference_stats"]) == {
        *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output"),
        *("cache_hit", "cache_miss"),
    }
    assert all(duration == {"count": 0, "ns": 0} for duration in found["inference_stats"].values())


def test_phases_become_nanoseconds_under_tritons_names() -> None:
    statistics = Statistics()
    statistics.count(TOY, spent(queue=1, decode=2, infer=3.5, encode=0.25), 0.01)
    durations = statistics.describe(*TOY)["inference_stats"]
    assert {name: durations[name]["ns"] for name in durations if durations[name]["ns"]} == {
        "success": 10_000_000,
        "queue": 1_000_000,
        "compute_input": 2_000_000,
        "compute_infer": 3_500_000,
        "compute_output": 250_000,
    }


def test_items_and_calls_are_counted_separately_from_requests() -> None:
    statistics = Statistics()
    for batch in (1, 4, 4):  # nine items in three calls
        statistics.get_executions(TOY).count(batch, batch / 1e3)
    for _ in range(5):  # of five requests
        statistics.count(TOY, spent(infer=1), 0.001)
    found = statistics.describe(*TOY)
    assert (found["inference_count"], found["execution_count"], found["inference_stats"]["success"]["count"]) == (
        9,
        3,
        5,
    )
    assert [(each["batch_size"], each["compute_infer"]) for each in found["batch_stats"]] == [
        (1, {"count": 1, "ns": 1_000_000}),
        (4, {"count": 2, "ns": 8_000_000}),
    ]
    assert "queue" not in found["batch_stats"][0]


def test_decode_and_encode_times_count_for_the_batch_of_their_item() -> None:
    statistics, whole = Statistics(), Timing()
    alone, together = spent(decode=1, encode=2), spent(decode=4, encode=8)
    alone.batch, together.batch = 1, 3
    whole.gather([alone, together])
    statistics.count(TOY, whole, 0.1)
    for batch in (1, 3):
        statistics.get_executions(TOY).count(batch, 0.001)
    around = {
        each["batch_size"]: (each["compute_input"]["ns"], each["compute_output"]["ns"])
        for each in statistics.describe(*TOY)["batch_stats"]
    }
    assert around == {1: (1_000_000, 2_000_000), 3: (4_000_000, 8_000_000)}


def test_the_counts_of_a_version_continue_when_it_is_opened_again() -> None:
    statistics = Statistics()
    for _ in range(2):
        statistics.get_executions(TOY).count(1, 0.001)
    assert statistics.describe(*TOY)["execution_count"] == 2


def test_calls_are_counted_from_many_threads() -> None:
    executions = Executions()

    def count_often() -> None:
        for _ in range(1000):
            executions.count(2, 0.001)

    threads = [threading.Thread(target=count_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert executions.describe()[0][2]["count"] == 4000


def test_a_failure_is_not_counted_as_an_inference() -> None:
    statistics = Statistics()
    statistics.count_failure(TOY, 0.5)
    found = statistics.describe(*TOY)
    assert found["inference_stats"]["fail"] == {"count": 1, "ns": 500_000_000}
    assert (found["inference_count"], found["last_inference"], found["batch_stats"]) == (0, 0, [])


def test_regions_beyond_the_limit_share_one_entry() -> None:
    statistics = Statistics()
    for number in range(40):
        statistics.count_failure(TOY, 0.5, f"region{number}")
    found = {each["region"]: each["fail"]["count"] for each in statistics.describe(*TOY)["region_stats"]}
    assert len(found) == 17
    assert (found["region0"], found["other"]) == (1, 24)


def test_versions_are_counted_separately() -> None:
    statistics = Statistics()
    statistics.get_executions(("toy", 1)).count(1, 0.1)
    statistics.count_failure(("other", 1), 0.1)
    assert [statistics.describe(name, number)["inference_count"] for name, number in (("toy", 1), TOY)] == [1, 0]
    assert statistics.describe("other", 1)["inference_stats"]["fail"]["count"] == 1


def test_the_last_inference_is_in_milliseconds_of_the_clock() -> None:
    statistics, before = Statistics(), int(time.time() * 1e3)
    statistics.get_executions(TOY).count(1, 0.0)
    assert statistics.describe(*TOY)["last_inference"] == pytest.approx(before, abs=60_000)
