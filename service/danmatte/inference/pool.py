"""Threads that compute; what piles up before them is done two at a time, a phase of both after the other.

Each phase works with code and tables that the others drive out of a core's caches: 720p frames in pairs take
4 % less of it.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias

from danmatte.telemetry.metrics import Timing

Work: TypeAlias = Callable[[Any], Any]
_Line: TypeAlias = "SimpleQueue[_Job | None]"
_TOGETHER = 2
_CLOSING_S = 2.0


class Threads:
    """So many threads and one line before them, for one event loop at a time."""

    def __init__(self, count: int) -> None:
        self._line: _Line = SimpleQueue()
        self._closed = False
        self._threads = [
            threading.Thread(target=_drive, args=(self._line, count), name=f"pixels-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def run(self, timing: Timing, **phases: Work) -> asyncio.Future[Any]:
        """What the last phase makes of what the one before made, the first of None; or what a phase raises.

        Phases are timed by their names, the waits before them as `queue`. Once the caller is gone none is begun.
        Raises RuntimeError when the threads were closed.
        """
        if self._closed:
            raise RuntimeError("the threads were closed")
        job = _Job(timing, phases)
        self._line.put(job)
        return job.waiter

    def close(self) -> None:
        """Ends the threads, after what is in the line; waits for it, but not for long."""
        self._closed = True
        for _ in self._threads:
            self._line.put(None)
        until = time.monotonic() + _CLOSING_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))


class _Job:
    """Somebody's phases, and how far they are."""

    __slots__ = ("_phases", "_since", "_timing", "error", "value", "waiter")

    def __init__(self, timing: Timing, phases: dict[str, Work]) -> None:
        self.waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.value: Any = None
        self.error: BaseException | None = None
        self._timing, self._phases, self._since = timing, list(phases.items()), time.perf_counter()

    def over(self, number: int) -> bool:
        """Whether there is no such phase, or nobody to do it for."""
        return number >= len(self._phases) or self.error is not None or self.waiter.done()

    def step(self, number: int, *, waited: bool) -> None:
        """Does a phase; `waited` says whether there was something else to do before."""
        try:
            name, work = self._phases[number]
            if waited:
                self._timing.add("queue", since=self._since)
            with self._timing.phase(name):
                self.value = work(self.value)
            self._since = time.perf_counter()
        except BaseException as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            self.error = RuntimeError(repr(error)) if isinstance(error, StopIteration) else error  # as in PEP 479
            del self  # or the error, whose traceback knows this frame, would keep itself


def _drive(line: _Line, threads: int) -> None:
    """A thread's life; between jobs it holds nothing of theirs."""
    while jobs := _taken(line, threads):
        number = 0
        while jobs:
            for job in jobs:
                if not job.over(number):
                    job.step(number, waited=number == 0 or len(jobs) > 1)
            number += 1
            _tell([job for job in jobs if job.over(number)])
            jobs = [job for job in jobs if not job.over(number)]
        del job


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


def _tell(jobs: list[_Job]) -> None:
    """Has those who are over settled on their loop, all at once."""
    if jobs:
        with suppress(RuntimeError):  # a closed loop: nobody waits
            jobs[0].waiter.get_loop().call_soon_threadsafe(_settle, jobs)


def _settle(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.waiter.done():
            continue
        if job.error:
            job.waiter.set_exception(job.error)
        else:
            job.waiter.set_result(job.value)
