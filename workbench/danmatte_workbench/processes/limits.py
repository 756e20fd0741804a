"""What a child process may take of the machine, and that it never outlives its parent."""

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
TICK_S = 0.2  # how often a child's memory is looked at


@dataclass(frozen=True)
class ProcessLimits:
    """What a child may take: seconds until it answers, and GiB of resident memory, its own children's included.

    Memory is watched, not limited by the kernel: TensorFlow reserves address space far beyond what it uses.
    """

    time_s: float
    memory_gib: float = math.inf

    def __post_init__(self) -> None:
        for option, value in (("--trial-s", self.time_s), ("--trial-memory-gib", self.memory_gib)):
            if not value > 0:
                raise InputError(f"{option}: expected more than 0, received {value:g}")


def receive(pipe: Connection, process: SpawnProcess, limits: ProcessLimits, who: str) -> Any:
    """The child's next answer. Raises MachineError, naming ``who``, when it takes too much, and EOFError at its end."""
    until = time.monotonic() + limits.time_s
    while not pipe.poll(max(0.0, min(TICK_S, until - time.monotonic()))):
        if time.monotonic() >= until:
            raise MachineError(f"{who}: not done within {limits.time_s:.0f} s")
        taken = measure_memory_gib(process.pid)
        if taken > limits.memory_gib:
            raise MachineError(f"{who}: it takes {taken:.1f} GiB of memory, the limit is {limits.memory_gib:g}")
    return pipe.recv()


def measure_memory_gib(pid: int | None) -> float:
    """GiB of resident memory of the process and all that it started; 0 when it is gone."""
    total = 0
    for member in list_family(pid):
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / GIB


def list_family(pid: int | None) -> list[psutil.Process]:
    """The process last, and before it all that it started; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def end(process: SpawnProcess) -> None:
    """Kill the child with all that it started, and wait until it is gone."""
    _kill(list_family(process.pid) if process.is_alive() else [])
    process.join()


def end_with_parent() -> None:
    """Called in a child: from now on it ends, with all that it started, when its parent does, however that ends.

    A thread waits for the parent's sentinel, since a parent that is killed can't tell anybody.
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
