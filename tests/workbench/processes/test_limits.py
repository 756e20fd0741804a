"""Children never outlive their parent, however it ends."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import psutil

from danmatte_workbench.processes.limits import list_family
from tests.workbench import crimes

PATIENCE_S = 60.0


def gone(pid: int) -> bool:
    """Whether nothing runs under that number any more; what nobody has waited for runs no more either."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_ends_with_all_that_it_started_when_its_parent_is_killed(tmp_path: Path) -> None:
    place = tmp_path / "pids"
    parent = multiprocessing.get_context("spawn").Process(target=crimes.keep_a_child, args=(place,))
    parent.start()
    until = time.monotonic() + PATIENCE_S
    while not place.exists() and time.monotonic() < until:
        time.sleep(0.05)
    pids = [int(word) for word in place.read_text().split()]
    assert not any(gone(pid) for pid in pids)
    os.kill(parent.pid or 0, signal.SIGKILL)
    parent.join()
    while not all(gone(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert [pid for pid in pids if not gone(pid)] == []


def test_who_is_gone_has_no_family() -> None:
    child = multiprocessing.get_context("spawn").Process(target=crimes.pid)
    child.start()
    child.join()
    assert list_family(child.pid) == []
    assert list_family(os.getpid())[-1].pid == os.getpid()
