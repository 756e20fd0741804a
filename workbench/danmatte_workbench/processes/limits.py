"""Limits on a child process' time and memory, and its end together with the parent."""

import math
import multiprocessing
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import psutil  # type: ignore[import-untyped]

from danmatte_workbench.errors import InputError, MachineError

GIB = 1 << 30
TICK_S = 0.2  # interval at which a child's memory is polled


@dataclass(frozen=True)
class ProcessLimits:
    """The limits of a child: seconds per response, and GiB of resident memory including its own children.

    Memory is polled rather than limited by the kernel, because TensorFlow reserves far more address space than it uses.
    """

    time_s: float
    memory_gib: float = math.inf

    def __post_init__(self) -> None:
        for option, value in (("--trial-s", self.time_s), ("--trial-memory-gib", self.memory_gib)):
            if not value > 0:
                raise InputError(f"{option}: expected more than 0, received {value:g}")


def receive(pipe: Connection, process: SpawnProcess, limits: ProcessLimits, who: str) -> Any:
    """Return the child's next response.

    Raises MachineError, naming ``who``, if the child exceeds its limits, and EOFError if it has ended.
    """
    until = time.monotonic() + limits.time_s
    while not pipe.poll(max(0.0, min(TICK_S, until - time.monotonic()))):
        if time.monotonic() >= until:
            raise MachineError(f"{who}: timed out after {limits.time_s:.0f} s")
        taken = measure_memory_gib(process.pid)
        if taken > limits.memory_gib:
            raise MachineError(f"{who}: uses {taken:.1f} GiB of memory, the limit is {limits.memory_gib:g}")
    return pipe.recv()


def measure_memory_gib(pid: int | None) -> float:
    """Return the GiB of resident memory of the process and its descendants; 0 if it has ended."""
    total = 0
    for member in list_family(pid):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / GIB


def list_family(pid: int | None) -> list[psutil.Process]:
    """Return the descendants of the process, and the process itself as the last one; empty if it has ended."""
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def end(process: SpawnProcess) -> None:
    """Kill the child and its descendants, and wait for its end."""
    _kill(list_family(process.pid) if process.is_alive() else [])
    process.join()


def end_with_parent() -> None:
    """Make the calling child end, with its descendants, when its parent ends for any reason.

    A thread waits for the parent's sentinel, because a killed parent can't notify its children.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def wait_and_end() -> None:
        wait([sentinel])
        _kill(list_family(os.getpid())[:-1])
        os._exit(1)

    threading.Thread(target=wait_and_end, daemon=True, name="end-with-parent").start()


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
