"""Threads that compute; what piles up before them is done two at a time, a phase of both after the other.

Each phase works with code and tables that the others drive out of a core's caches: 720p frames in pairs take a
twentieth less of it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from service.cores import stay
from service.metrics import Timing

Work: TypeAlias = Callable[[Any], Any]
_Line: TypeAlias = "SimpleQueue[_Job | None]"
_TOGETHER = 2


class Threads:
    """So many threads, on a core each where there are as many, and one line before them, for one event loop."""

    def __init__(self, count: int) -> None:
        self._line: _Line = SimpleQueue()
        self._threads = [
            threading.Thread(target=_drive, args=(self._line, number, count), name=f"pixels-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, timing: Timing, **phases: Work) -> asyncio.Future[Any]:
        """What the last phase makes of what the one before made, the first of None; or what a phase raises.

        Phases are timed by their names, the waits before them as `queue`. Once the caller is gone none is begun.
        """
        job = _Job(timing, phases)
        self._line.put(job)
        return job.waiter

    def close(self) -> None:
        """Lets the threads go, after what is in the line."""
        for _ in self._threads:
            self._line.put(None)


class _Job:
    """Somebody's phases, and how far they are."""

    __slots__ = ("_phases", "_since", "_timing", "error", "value", "waiter")

    def __init__(self, timing: Timing, phases: dict[str, Work]) -> None:
        self.waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.value: Any = None
        self.error: BaseException | None = None
        self._timing, self._phases, self._since = timing, list(phases.items()), time.perf_counter()

    def __len__(self) -> int:
        return len(self._phases)

    def step(self, number: int) -> None:
        """Does a phase, if there is one and somebody to do it for."""
        if number >= len(self) or self.error or self.waiter.done():
            return
        name, work = self._phases[number]
        self._timing.add("queue", since=self._since)
        try:
            with self._timing.phase(name):
                self.value = work(self.value)
            self._since = time.perf_counter()
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            self.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error  # as in PEP 479
            del self  # or the error, whose traceback knows this frame, would keep itself


def _drive(line: _Line, number: int, threads: int) -> None:
    """A thread's life; it holds no `Threads`, and between jobs nothing of theirs."""
    stay(number, threads)
    while jobs := _taken(line, threads):
        for number in range(max(map(len, jobs))):
            for job in jobs:
                job.step(number)
        with suppress(RuntimeError):  # a closed loop: nobody waits
            jobs[0].waiter.get_loop().call_soon_threadsafe(_settle, jobs)
        del jobs, job


def _taken(line: _Line, threads: int) -> list[_Job]:
    """The next job, and another if every other thread finds one after that; none at the end."""
    jobs: list[_Job] = []
    with suppress(Empty):
        while len(jobs) < _TOGETHER and (not jobs or line.qsize() >= threads):
            job = line.get_nowait() if jobs else line.get()
            if job is None:
                if jobs:
                    line.put(None)  # for another thread
                break
            jobs.append(job)
    return jobs


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.waiter.done():
            continue
        if job.error:
            job.waiter.set_exception(job.error)
        else:
            job.waiter.set_result(job.value)
