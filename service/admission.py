"""Who may come in, who may compute, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.errors import DeadlineError, DrainingError, QueueFullError
from service.metrics import Timing


class Admission:
    """A front door with `queue` places, and `in_flight` turns behind it; `inside` counts the places taken."""

    def __init__(self, *, queue: int, in_flight: int, deadline_s: float) -> None:
        self._queue, self._deadline_s = queue, deadline_s
        self._turns = asyncio.Semaphore(in_flight)
        self.inside = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place from the first byte of a post to the last of its answer.

        Raises QueueFullError, and DrainingError once `drain` was called.
        """
        if self.draining:
            raise DrainingError("the server is shutting down")
        if self.inside >= self._queue:
            raise QueueFullError(f"all {self._queue} places are taken")
        self.inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self.inside -= 1
            if not self.inside:
                self._empty.set()

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Ends the block with DeadlineError when it takes too long, waiting for a turn included."""
        try:
            async with asyncio.timeout(self._deadline_s) as timer:
                yield
        except TimeoutError as error:
            if timer.expired():
                raise DeadlineError(f"no answer within {self._deadline_s:g} s") from error
            raise

    @asynccontextmanager
    async def turn(self, timing: Timing) -> AsyncIterator[None]:
        """One of the turns to compute, first come, first served; the wait is the `queue` phase."""
        with timing.phase("queue"):
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()

    async def drain(self, timeout_s: float) -> bool:
        """Lets nobody in any more and waits for those inside; False when some are left."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
