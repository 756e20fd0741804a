"""Heats: the best go all the way, and a finished round is never run again."""

from pathlib import Path

import numpy as np
import pytest

from danmatte_workbench.benchmark.interleaved import Rounds
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.comparison import Entrant
from danmatte_workbench.experiment.race import GROUP, Heats, Race, Standings, Track, groups
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.processes.limits import ProcessLimits
from tests.workbench.crimes import Sleeper
from tests.workbench.facts import HOST

FRAMES = (np.zeros((1, 4, 4, 3), np.uint8),)


class Stopwatch:
    """Counts the rounds that were really run, and stops the race after some."""

    def __init__(self, after: int = 1000) -> None:
        self.steps: list[str] = []
        self._after = after

    def step(self, text: str) -> None:
        self.steps.append(text)

    def ended(self) -> bool:
        return len(self.steps) >= self._after


def race(folder: Path, watch: Stopwatch, *sleepers: Sleeper) -> Race:
    track = Track(FRAMES, 0.005, Results(folder), HOST, ProcessLimits(60.0), watch.ended, watch.step)
    return track.open([Entrant(sleeper, sleeper.name * 8) for sleeper in sleepers])


A, B, C, D = (Sleeper(name, delay_s=delay_s) for name, delay_s in zip("ABCD", (4e-3, 3e-3, 2e-3, 1e-3), strict=True))


def speed(name: str, rounds: Rounds) -> float | None:
    return float(np.median(rounds.throughput[name])) if name in rounds.throughput else 0.0


def test_the_most_promising_go_to_the_final_beside_the_baseline(tmp_path: Path) -> None:
    watch = Stopwatch()
    with race(tmp_path, watch, A, B, C, D) as held:
        standings = Heats(("A",), 2, 4, 1).hold(held, ["B", "C", "D"], speed)
    assert standings.finalists == {"D"}
    final = [f"round {number} of 4 among 2" for number in (1, 2, 3, 4)]
    assert watch.steps == ["round 1 of 2 among 4", "round 2 of 2 among 4", *final]
    rounds = {name: standings.rounds(name) for name in "ABCD"}
    assert [len(found.throughput[name]) for name, found in rounds.items() if found] == [4, 2, 2, 4]
    assert standings.fastest(["A", "B"]) == "B"


def test_where_few_race_all_go_to_the_final_at_once(tmp_path: Path) -> None:
    watch = Stopwatch()
    with race(tmp_path, watch, A, B) as held:
        standings = Heats(("A",), 2, 3, 4).hold(held, ["B"], speed)
    assert len(watch.steps) == 3
    assert standings.finalists == {"B"}


def test_who_cannot_win_is_raced_a_little_and_never_a_finalist(tmp_path: Path) -> None:
    with race(tmp_path, Stopwatch(), A, B) as held:
        standings = Heats(("A",), 2, 3, 4).hold(held, ["B"], lambda *_: None)
    assert standings.finalists == frozenset()
    assert standings.rounds("B") is not None


def test_a_race_goes_on_with_the_rounds_that_are_missing(tmp_path: Path) -> None:
    killed, resumed, repeated = Stopwatch(after=2), Stopwatch(), Stopwatch()
    with race(tmp_path, killed, A, B) as held:
        first = held.heat("AB", 5)
    with race(tmp_path, resumed, A, B) as held:
        second = held.heat("AB", 5)
    assert (len(killed.steps), len(resumed.steps)) == (2, 3)
    assert second.rounds.throughput["A"][:2] == first.rounds.throughput["A"]
    with race(tmp_path, repeated, A, B) as held:
        assert held.heat("AB", 5) == second
    assert repeated.steps == []


@pytest.mark.parametrize("others", [(A,), (A, C), (A, Sleeper("B", person=2))])
def test_other_contenders_are_another_race(tmp_path: Path, others: tuple[Sleeper, ...]) -> None:
    with race(tmp_path, Stopwatch(), A, B) as held:
        held.heat("AB", 1)
    watch = Stopwatch()
    with race(tmp_path, watch, *others) as held:
        held.heat([sleeper.name for sleeper in others], 1)
    assert len(watch.steps) == 1


def test_one_that_dies_is_out_with_its_reason_and_stays_out_when_resumed(tmp_path: Path) -> None:
    for watch in (Stopwatch(), Stopwatch()):
        with race(tmp_path, watch, A, Sleeper("B", ill="dies")) as held:
            standings = Heats(("A",), 1, 2, 4).hold(held, ["B"], speed)
        assert standings.dropped == {"B": "MachineError: B: its process died (exit code 7)"}
        assert standings.rounds("B") is None
        assert standings.measurements("B", "A", HOST) == []
    assert watch.steps == []


def test_a_race_in_which_no_baseline_is_left_says_why() -> None:
    with pytest.raises(MachineError, match="A: its process died"):
        Standings({}, frozenset(), {"A": "A: its process died"}).fastest(["A"])


def test_the_figures_are_frames_a_second_the_ratio_and_milliseconds(tmp_path: Path) -> None:
    with race(tmp_path, Stopwatch(), A, D) as held:
        standings = Heats(("A",), 1, 3, 4).hold(held, ["D"], speed)
    figures = {item.metric: item for item in standings.measurements("D", "A", HOST)}
    assert set(figures) == {"throughput", "speedup", "latency"}
    assert figures["speedup"].value > 1.5
    assert figures["latency"].value >= 1


@pytest.mark.parametrize("count", [0, 1, GROUP, GROUP + 1, 3 * GROUP])
def test_heats_are_as_few_as_hold_everybody(count: int) -> None:
    names = [str(number) for number in range(count)]
    found = groups(names)
    assert sorted(name for group in found for name in group) == sorted(names)
    assert len(found) == -(-count // GROUP)
    assert max(map(len, found), default=0) - min(map(len, found), default=0) <= 1
