"""Stages of a race: only the best reach the final, and a finished round is never repeated."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.race import GROUP, BenchmarkConfig, Race, RaceStage, Standings, split_into_groups
from danmatte_workbench.experiment.store import ResultCache
from danmatte_workbench.processes.limits import ProcessLimits
from tests.workbench.crimes import Sleeper
from tests.workbench.facts import HOST

FRAMES = (np.zeros((1, 4, 4, 3), np.uint8),)


class Stopwatch:
    """Counts the rounds that were run, and stops the race after some."""

    def __init__(self, after: int = 1000) -> None:
        self.steps: list[str] = []
        self._after = after

    def note(self, text: str) -> None:
        self.steps.append(text)

    def is_over(self) -> bool:
        return len(self.steps) >= self._after


def race(folder: Path, watch: Stopwatch, *sleepers: Sleeper, baselines: Sequence[str] = ("A",)) -> Race:
    config = BenchmarkConfig(FRAMES, 0.005, ResultCache(folder), HOST, ProcessLimits(60.0), watch.is_over, watch.note)
    return Race(config, sleepers, baselines)


A, B, C, D = (Sleeper(name, delay_s=delay_s) for name, delay_s in zip("ABCD", (4e-3, 3e-3, 2e-3, 1e-3), strict=True))


def speed(name: str, rounds: Rounds) -> float | None:
    return float(np.median(rounds.throughput[name])) if name in rounds.throughput else 0.0


def test_the_best_rated_trials_go_to_the_final_with_the_baseline(tmp_path: Path) -> None:
    watch = Stopwatch()
    with race(tmp_path, watch, A, B, C, D) as held:
        standings = held.run(["B", "C", "D"], speed, first=2, final=4, finalists=1)
    assert standings.finalists == {"D"}
    final = [f"round {number} of 4 among 2" for number in (1, 2, 3, 4)]
    assert watch.steps == ["round 1 of 2 among 4", "round 2 of 2 among 4", *final]
    rounds = {name: standings.get_rounds(name) for name in "ABCD"}
    assert [len(found.throughput[name]) for name, found in rounds.items() if found] == [4, 2, 2, 4]
    assert standings.find_fastest(["A", "B"]) == "B"


def test_latency_percentiles_are_measured_if_there_are_enough_frames() -> None:
    rounds = Rounds({"A": [10.0] * 5, "B": [20.0] * 5}, {"A": [50.0] * 99 + [900.0], "B": [9.0] * 30})
    standings = Standings({"A": RaceStage(rounds), "B": RaceStage(rounds)}, frozenset("AB"), {})
    found = {item.metric: item for item in standings.measure("A", "B", HOST)}
    assert list(found) == ["throughput", "speedup", "latency", "latency_p95", "latency_p99"]
    assert (found["latency"].value, found["latency_p95"].value) == (50, 50)
    assert found["latency_p99"].high == 900
    assert "latency_p99" not in {item.metric for item in standings.measure("B", "B", HOST)}


def test_latency_intervals_count_rounds_not_frames_as_independent_samples() -> None:
    """Frames of a round share its noise: a thousand frames of five rounds are only five independent samples."""
    stage = RaceStage()
    for speed_ms in (80.0, 90.0, 100.0, 110.0, 120.0):
        stage.add({"samples": {"A": [10.0, [speed_ms + 0.01 * number for number in range(200)]]}, "dropped": {}})
    found = {item.metric: item for item in Standings({"A": stage}, frozenset("A"), {}).measure("A", "A", HOST)}
    pooled = Measurement.estimate_median("latency", stage.rounds.latency_ms["A"], "ms", HOST)
    assert found["latency"].value == pooled.value
    assert (found["latency"].low, found["latency"].high) == (pytest.approx(81, abs=1), pytest.approx(121, abs=1))
    assert pooled.high - pooled.low < 0.5 * (found["latency"].high - found["latency"].low)
    assert found["latency_p95"].low < 95
    stage.rounds.discard("A")
    assert stage.rounds.latency_rounds == {}


def test_load_by_other_processes_widens_the_intervals() -> None:
    speeds, waits = {"A": [8.0, 10.0, 12.0]}, {"A": [80.0, 100.0, 120.0]}
    quiet, busy = (Rounds(speeds, waits, {"A": [load] * 3}) for load in (0.0, 0.5))
    standings = [Standings({"A": RaceStage(rounds)}, frozenset("A"), {}) for rounds in (quiet, busy)]
    (alone, *_), (beside, *_) = (item.measure("A", "A", HOST) for item in standings)
    assert beside.value == alone.value
    assert beside.high - beside.value == pytest.approx(1.5 * (alone.high - alone.value))
    assert [item.compute_load() for item in standings] == [0, 0.5]


def test_stored_rounds_without_a_load_are_still_read(tmp_path: Path) -> None:
    stage = RaceStage()
    stage.add({"samples": {"A": [10.0, [100.0]]}, "dropped": {}})
    stage.add({"samples": {"A": [12.0, [90.0], 0.25]}, "dropped": {}})
    assert stage.rounds.load["A"] == [0.0, 0.25]


def test_few_trials_go_to_the_final_at_once(tmp_path: Path) -> None:
    watch = Stopwatch()
    with race(tmp_path, watch, A, B) as held:
        standings = held.run(["B"], speed, first=2, final=3, finalists=4)
    assert len(watch.steps) == 3
    assert standings.finalists == {"B"}


def test_a_trial_without_a_rating_is_raced_but_never_a_finalist(tmp_path: Path) -> None:
    with race(tmp_path, Stopwatch(), A, B) as held:
        standings = held.run(["B"], lambda *_: None, first=2, final=3, finalists=4)
    assert standings.finalists == frozenset()
    assert standings.get_rounds("B") is not None


def test_a_resumed_race_runs_only_the_missing_rounds(tmp_path: Path) -> None:
    killed, resumed, repeated = Stopwatch(after=2), Stopwatch(), Stopwatch()
    with race(tmp_path, killed, A, B) as held:
        first = held.run_stage("AB", 5)
    with race(tmp_path, resumed, A, B) as held:
        second = held.run_stage("AB", 5)
    assert (len(killed.steps), len(resumed.steps)) == (2, 3)
    assert second.rounds.throughput["A"][:2] == first.rounds.throughput["A"]
    with race(tmp_path, repeated, A, B) as held:
        assert held.run_stage("AB", 5) == second
    assert repeated.steps == []


@pytest.mark.parametrize("others", [(A,), (A, C), (A, Sleeper("B", person=2))])
def test_rounds_with_different_subjects_are_not_reused(tmp_path: Path, others: tuple[Sleeper, ...]) -> None:
    with race(tmp_path, Stopwatch(), A, B) as held:
        held.run_stage("AB", 1)
    watch = Stopwatch()
    with race(tmp_path, watch, *others) as held:
        held.run_stage([sleeper.name for sleeper in others], 1)
    assert len(watch.steps) == 1


def test_a_subject_that_died_is_dropped_with_the_reason_even_when_resumed(tmp_path: Path) -> None:
    for watch in (Stopwatch(), Stopwatch()):
        with race(tmp_path, watch, A, Sleeper("B", ill="dies")) as held:
            standings = held.run(["B"], speed, first=1, final=2, finalists=4)
        assert standings.dropped == {"B": "B: its process died (exit code 7)"}
        assert standings.get_rounds("B") is None
        assert standings.measure("B", "A", HOST) == []
    assert watch.steps == []


def test_the_error_for_a_race_without_a_baseline_gives_the_reason() -> None:
    with pytest.raises(MachineError, match="A: its process died"):
        Standings({}, frozenset(), {"A": "A: its process died"}).find_fastest(["A"])


def test_a_race_measures_throughput_speedup_and_latency() -> None:
    stage = RaceStage(Rounds({"A": [10.0, 5.0], "D": [40.0, 20.0]}, {"A": [100.0, 200.0], "D": [25.0, 50.0]}))
    standings = Standings({"A": stage, "D": stage}, frozenset("D"), {})
    figures = {item.metric: item for item in standings.measure("D", "A", HOST)}
    assert {name: (item.value, item.unit) for name, item in figures.items()} == {
        "throughput": (30, "frames/s"),
        "speedup": (4, "×"),
        "latency": (37.5, "ms"),
    }


@pytest.mark.parametrize("count", [0, 1, GROUP, GROUP + 1, 3 * GROUP])
def test_subjects_are_split_into_the_fewest_groups_of_nearly_equal_size(count: int) -> None:
    names = [str(number) for number in range(count)]
    found = split_into_groups(names)
    assert sorted(name for group in found for name in group) == sorted(names)
    assert len(found) == -(-count // GROUP)
    assert max(map(len, found), default=0) - min(map(len, found), default=0) <= 1


def test_the_minimum_of_rounds_is_run_even_after_the_deadline(tmp_path: Path) -> None:
    with race(tmp_path, Stopwatch(after=0), A, B) as held:
        assert held.run_stage("AB", 3, min_rounds=1).count == 1
        assert held.run_stage("AB", 5, min_rounds=2).count == 2


def test_after_the_deadline_a_final_has_as_many_rounds_as_a_first_stage(tmp_path: Path) -> None:
    watch = Stopwatch(after=0)
    with race(tmp_path, watch, A, B) as held:
        standings = held.run(["B"], speed, first=2, final=9, finalists=4)
    assert len(watch.steps) == 2
    assert standings.finalists == {"B"}


def test_if_no_trial_has_a_rating_there_is_no_final(tmp_path: Path) -> None:
    watch = Stopwatch()
    with race(tmp_path, watch, A, B, C) as held:
        standings = held.run(["B", "C"], lambda *_: None, first=1, final=3, finalists=1)
    assert watch.steps == ["round 1 of 1 among 3"]
    assert standings.finalists == frozenset()
    assert all(standings.get_rounds(name) for name in "ABC")


def test_the_best_rated_trials_are_the_finalists(tmp_path: Path) -> None:
    rated = {"B": 1.0, "C": None, "D": 2.0}
    watch = Stopwatch()
    with race(tmp_path, watch, A, B, C, D) as held:
        standings = held.run(["B", "C", "D"], lambda name, _: rated[name], first=1, final=1, finalists=2)
    assert standings.finalists == {"B", "D"}
    assert watch.steps[-1] == "round 1 of 1 among 3"


def test_rounds_are_repeated_for_changed_frames_host_or_round_length(tmp_path: Path) -> None:
    watch = Stopwatch()
    frames = (np.ones((1, 4, 4, 3), np.uint8),)
    newer = structs.replace(HOST, features=("avx512",))
    for pictures, host, round_s in (
        (FRAMES, HOST, 0.005),
        (frames, HOST, 0.005),
        (FRAMES, newer, 0.005),
        (FRAMES, HOST, 0.006),
    ):
        config = BenchmarkConfig(
            pictures, round_s, ResultCache(tmp_path), host, ProcessLimits(60.0), watch.is_over, watch.note
        )
        with Race(config, [A]) as held:
            held.run_stage("A", 1)
    assert len(watch.steps) == 4


def test_a_stage_discards_the_rounds_of_dropped_subjects() -> None:
    stage = RaceStage()
    stage.add({"samples": {"A": [10.0, [100.0]], "B": [20.0, [50.0]]}, "dropped": {}})
    stage.add({"samples": {"A": [11.0, [90.0]]}, "dropped": {"B": "MachineError: died"}})
    assert (stage.count, stage.dropped) == (2, {"B": "MachineError: died"})
    latencies = {"A": [100.0, 90.0]}
    by_round = {"A": [(100.0,), (90.0,)]}
    assert stage.rounds == Rounds({"A": [10.0, 11.0]}, latencies, {"A": [0.0, 0.0]}, by_round)


def test_without_rounds_of_the_baseline_no_speedup_is_measured() -> None:
    standings = Standings({"D": RaceStage(Rounds({"D": [40.0]}, {"D": []}))}, frozenset("D"), {})
    assert [item.metric for item in standings.measure("D", "A", HOST)] == ["throughput"]
