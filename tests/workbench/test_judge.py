"""Who wins, and what is said when nobody does."""

import pytest

from tests.workbench.facts import measured, trial
from workbench.errors import BudgetError, InputError
from workbench.judge import check, choose

FAST = trial("fast", measured("throughput", 90), measured("latency", 9), measured("iou_drop", 0.1))
PROMPT = trial("prompt", measured("throughput", 50), measured("latency", 3), measured("iou_drop", 0.2))
WRONG = trial(
    "wrong", measured("throughput", 200), measured("latency", 1), measured("iou_drop", 7), broken=("iou_drop: 7",)
)
CLOSE = trial("close", measured("throughput", 150), measured("iou_drop", 0.6), broken=("iou_drop: 0.6",))
FAILED = trial("failed", broken=("MachineError: its process died",))
ALL = [WRONG, FAST, FAILED, PROMPT, CLOSE]


@pytest.mark.parametrize(("objective", "winner"), [("throughput", FAST), ("latency", PROMPT)])
def test_the_best_accepted_trial_wins(objective: str, winner) -> None:
    assert choose(ALL, objective) is winner


def test_what_was_never_raced_cannot_win() -> None:
    assert choose([trial("silent"), FAST], "throughput") is FAST


def test_when_nothing_is_met_the_nearest_and_every_rejection_are_told() -> None:
    with pytest.raises(BudgetError) as refused:
        choose([WRONG, FAILED, CLOSE, trial("silent")], "throughput")
    first, *rejections = str(refused.value).splitlines()
    assert first == "nothing met the budget; the nearest is: close"
    assert rejections == [
        "  wrong: iou_drop: 7",
        "  failed: MachineError: its process died",
        "  close: iou_drop: 0.6",
        "  silent: has no throughput",
    ]


@pytest.mark.parametrize("trials", [[], [FAILED]])
def test_nothing_measured_has_no_nearest(trials) -> None:
    with pytest.raises(BudgetError, match="the nearest is: none"):
        choose(trials, "throughput")


def test_an_unknown_objective_is_refused_before_anything_runs() -> None:
    with pytest.raises(InputError, match="--objective: expected throughput or latency, received speed"):
        check("speed")
