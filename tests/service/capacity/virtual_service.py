"""The service's real admission with a virtual clock that jumps to the next event, and simulated threads."""

import asyncio
import math
import selectors
from types import SimpleNamespace

import numpy as np
import pytest

from danmatte.capacity.arrivals import Arrivals, Seconds
from danmatte.capacity.simulation import WorkerModel
from danmatte.errors import OverloadError
from danmatte.inference import admission as real
from danmatte.inference.fair_semaphore import FairSemaphore
from danmatte.telemetry.timing import Timing


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: it advances its clock instead."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = self

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                found = super().select(0)
                if not found:
                    assert timeout is not None, "deadlock: all tasks wait, and no timer is set"
                    loop.now += timeout
                return found

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


class SleepingThreads:
    """A fake of the service's thread pool with its rules for pairs of jobs; a job is a sleep."""

    def __init__(self, worker: WorkerModel) -> None:
        self._worker, self._jobs = worker, asyncio.Queue[tuple[float, asyncio.Future[None]]]()
        self._tasks = [asyncio.create_task(self._drive()) for _ in range(worker.cores)]

    async def run(self, seconds: float) -> None:
        done = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((seconds, done))
        await done

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _drive(self) -> None:
        while True:
            jobs = [await self._jobs.get()]
            while len(jobs) < self._worker.together and self._jobs.qsize() >= self._worker.cores:
                jobs.append(self._jobs.get_nowait())
            jobs = [job for job in jobs if not job[1].done()]
            await asyncio.sleep(sum(seconds for seconds, _ in jobs))
            for _, done in jobs:
                if not done.done():
                    done.set_result(None)


def serve(worker: WorkerModel, arrivals: Arrivals, seconds: Seconds, patch: pytest.MonkeyPatch) -> Seconds:
    """Return each request's latency, infinite if it was rejected or timed out; `seconds` are its times in a thread."""
    loop = VirtualLoop()
    patch.setattr(real, "time", SimpleNamespace(monotonic=loop.time))
    admission = real.Admission(
        queue=worker.places,
        in_flight=worker.permits,
        deadline_s=worker.deadline_s,
        max_wait_s=worker.max_wait_s,
    )
    admission._permits = FairSemaphore(worker.permits, loop.time)
    latencies = np.full(len(seconds), math.inf)

    async def request(number: int, threads: SleepingThreads) -> None:
        try:
            async with admission.place(str(arrivals.callers[number])) as place, admission.deadline():
                async with place.permit(Timing()):
                    await threads.run(seconds[number])
                latencies[number] = loop.time() - arrivals.moments_s[number]
        except OverloadError:
            pass

    async def run() -> None:
        threads = SleepingThreads(worker)
        async with asyncio.TaskGroup() as posts:
            for number, moment in enumerate(arrivals.moments_s):
                await asyncio.sleep(moment - loop.time())
                posts.create_task(request(number, threads))
        threads.close()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(run())
    return latencies
