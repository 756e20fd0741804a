"""Children never outlive their parent, however it ends."""

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.processes.child import Child
from danmatte_workbench.processes.limits import (
    ProcessLimits,
    end_with_parent,
    list_family,
    measure_memory_gib,
    receive,
)
from tests.workbench import crimes
from tests.workbench.answering import make_adder

PATIENCE_S = 60.0


def is_gone(pid: int) -> bool:
    """Return whether no process with that id is running; a zombie counts as not running."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_and_its_own_children_end_when_its_parent_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "pids"
    parent = multiprocessing.get_context("spawn").Process(target=crimes.keep_a_child, args=(place,))
    parent.start()
    until = time.monotonic() + PATIENCE_S
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(word) for word in place.read_text().split()]
    assert not any(is_gone(pid) for pid in pids)
    os.kill(parent.pid or 0, signal.SIGKILL)
    parent.join()
    while not all(is_gone(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in pids if not is_gone(pid)] == []


def test_an_ended_process_has_no_family() -> None:
    child = multiprocessing.get_context("spawn").Process(target=crimes.pid)
    child.start()
    child.join()
    assert list_family(child.pid) == []
    assert list_family(os.getpid())[-1].pid == os.getpid()


def test_the_memory_of_a_process_includes_that_of_its_children() -> None:
    own = measure_memory_gib(os.getpid())
    assert 0.01 < own < 64
    with Child("sums", make_adder, 1) as child:
        child.ask(1, timeout_s=PATIENCE_S)
        assert measure_memory_gib(os.getpid()) > own


def test_an_ended_process_uses_no_memory() -> None:
    child = multiprocessing.get_context("spawn").Process(target=crimes.pid)
    child.start()
    child.join()
    assert measure_memory_gib(child.pid) == 0


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"time_s": 0.0}, r"^--trial-s: expected more than 0, received 0$"),
        ({"time_s": -1.0}, r"^--trial-s: expected more than 0, received -1$"),
        ({"time_s": float("nan")}, r"^--trial-s: expected more than 0, received nan$"),
        ({"time_s": 5.0, "memory_gib": 0.0}, r"^--trial-memory-gib: expected more than 0, received 0$"),
    ],
)
def test_a_limit_of_zero_or_less_is_reported_by_its_flag(limits: dict[str, float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ProcessLimits(**limits)


def test_memory_is_unlimited_by_default() -> None:
    assert ProcessLimits(5.0).memory_gib == float("inf")


class SilentPipe:
    """A pipe without data."""

    def poll(self, timeout: float) -> bool:
        return False


class OwnProcess:
    """This process, in the form of a child."""

    pid = os.getpid()


def test_receiving_times_out_without_data() -> None:
    with pytest.raises(MachineError, match=r"^worker: timed out after 0 s$"):
        receive(SilentPipe(), OwnProcess(), ProcessLimits(0.05), "worker")  # type: ignore[arg-type]


def test_too_much_memory_is_reported_with_its_limit() -> None:
    with pytest.raises(MachineError, match=r"^worker: uses \d+\.\d GiB of memory, the limit is 0\.001$"):
        receive(SilentPipe(), OwnProcess(), ProcessLimits(60.0, 0.001), "worker")  # type: ignore[arg-type]


def test_an_available_response_is_received() -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.send({"answer": 42})
    assert receive(ours, OwnProcess(), ProcessLimits(60.0), "worker") == {"answer": 42}  # type: ignore[arg-type]


def test_a_process_without_a_parent_starts_no_watching_thread() -> None:
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before
