"""Contenders take turns, and one that dies is named."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from tests.workbench.crimes import Sleeper, turns
from workbench.errors import InputError, MachineError
from workbench.metrics import contest
from workbench.metrics.contest import Rounds, hold

PICTURES = [np.zeros((1, 4, 4, 3), np.uint8)] * 2


def test_contenders_take_turns_and_the_order_is_reversed_every_other_round(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    results = hold(
        [Sleeper("A", diary=diary), Sleeper("B", delay_s=0.004, diary=diary)], PICTURES, rounds=4, round_s=0.02
    )
    # Both warm up, A first; then A B, B A, A B, B A, where neighbours that are the same run together.
    assert turns(diary) == "AB" + "ABABA"
    assert [len(results.throughput[name]) for name in "AB"] == [4, 4]
    assert np.median(results.ratios("A", "B")) > 1.5
    assert min(results.latency_ms["B"]) >= 4


@pytest.mark.parametrize(
    ("ill", "error", "says"),
    [
        ("dies", MachineError, r"B: its process died \(exit code 7\)"),
        ("refuses", InputError, "x.pb: isn't a graph"),
    ],
)
def test_a_contender_that_cannot_go_on_ends_the_contest_by_name(ill: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        hold([Sleeper("A"), Sleeper("B", ill=ill)], PICTURES, rounds=2, round_s=0.01)
    assert multiprocessing.active_children() == []


def test_a_contender_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "START_S", 1.0)
    with pytest.raises(MachineError, match="B: no answer within 1 s"):
        hold([Sleeper("B", ill="hangs")], PICTURES, rounds=1, round_s=0.01)
    assert multiprocessing.active_children() == []


def test_ratios_are_taken_round_by_round() -> None:
    rounds = Rounds(throughput={"A": [10.0, 2.0], "B": [5.0, 1.0]})
    assert rounds.ratios("A", "B") == [2.0, 2.0]
