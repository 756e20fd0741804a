"""Trials in child processes: failures there don't affect the parent."""

import multiprocessing
import os
import time
from collections.abc import Callable

import pytest

from danmatte_workbench.errors import BudgetError, InputError, MachineError, WorkbenchError
from danmatte_workbench.processes.child import run_isolated
from tests.workbench import crimes

PATIENCE_S = 60.0


def test_the_result_of_the_function_is_returned() -> None:
    assert run_isolated(crimes.doubled, 21, timeout_s=PATIENCE_S) == 42


def test_the_function_runs_in_a_separate_process() -> None:
    assert run_isolated(crimes.pid, timeout_s=PATIENCE_S) != os.getpid()


@pytest.mark.parametrize(("function", "kind"), [(crimes.refuse, InputError), (crimes.overspend, BudgetError)])
def test_a_workbench_error_is_raised_again_unchanged(function: Callable[[], None], kind: type[WorkbenchError]) -> None:
    with pytest.raises(kind) as raised:
        run_isolated(function, timeout_s=PATIENCE_S)
    assert type(raised.value) is kind
    assert str(raised.value) in ("data/x.png: isn't a picture", "nothing met the budget")


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        (crimes.leave, (7,), r"leave: its process died \(exit code 7\)"),
        (crimes.leave, (0,), r"leave: its process died \(exit code 0\)"),
        (crimes.be_killed, (), r"be_killed: its process died \(exit code -9\)"),
        (crimes.stumble, (), r"stumble: its process died \(exit code 1\)"),
        (crimes.give_a_lambda, (), "give_a_lambda: its process died"),
    ],
)
def test_a_process_that_dies_raises_a_machine_error(
    function: Callable[..., None], arguments: tuple[int, ...], says: str
) -> None:
    with pytest.raises(MachineError, match=says):
        run_isolated(function, *arguments, timeout_s=PATIENCE_S)


def test_a_trial_is_stopped_at_its_time_limit() -> None:
    before, started = set(multiprocessing.active_children()), time.monotonic()
    with pytest.raises(MachineError, match="hang: timed out after 1 s"):
        run_isolated(crimes.hang, timeout_s=1.0)
    assert time.monotonic() - started < 30
    assert set(multiprocessing.active_children()) == before


def test_a_trial_is_stopped_at_its_memory_limit() -> None:
    started = time.monotonic()
    with pytest.raises(MachineError, match=r"hoard: uses [\d.]+ GiB of memory, the limit is 0.5"):
        run_isolated(crimes.hoard, 1.0, timeout_s=PATIENCE_S, memory_gib=0.5)
    assert time.monotonic() - started < PATIENCE_S


def test_a_trial_below_its_memory_limit_is_not_stopped_for_it() -> None:
    with pytest.raises(MachineError, match="hoard: timed out after 3 s"):
        run_isolated(crimes.hoard, 0.1, timeout_s=3.0, memory_gib=2.0)


@pytest.mark.parametrize("limits", [{"timeout_s": 0.0}, {"timeout_s": 5.0, "memory_gib": -1.0}])
def test_a_limit_of_zero_or_less_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected more than 0, received"):
        run_isolated(crimes.pid, **limits)
