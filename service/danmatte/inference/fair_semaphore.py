"""A semaphore that grants permits round-robin by caller, so that many requests of one caller don't delay the others."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

_WEIGHT = 0.1
_Queue = dict[asyncio.Future[None], None]


class FairSemaphore:
    """`count` permits, and a queue for each caller; the queues are served in turn, one request each.

    `interval_s` is the measured mean time between two releases while all permits are in use, 0 before the first.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._free, self._clock = count, count, clock
        self._queues: dict[str, _Queue] = {}
        self.interval_s = 0.0

    @property
    def free(self) -> int:
        """The number of available permits."""
        return self._free

    @property
    def waiting(self) -> Counter[str]:
        """The number of waiting requests, by caller."""
        return Counter({caller: len(queue) for caller, queue in self._queues.items()})

    @property
    def hold_s(self) -> float:
        """The mean time for which a permit is held while all are in use."""
        return self.interval_s * self._count

    async def acquire(self, caller: str) -> float:
        """Wait for a permit; return the time at which it was granted, for `measure`."""
        if self._free:
            self._free -= 1
            return self._clock()
        permit = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, {})[permit] = None
        try:
            await permit
        except asyncio.CancelledError:
            if permit.cancelled():
                self._forget(caller, permit)
            else:  # granted just before the cancellation: pass it on, otherwise the permit would be lost
                self.release()
            raise
        return self._clock()

    def release(self) -> None:
        """Pass a permit on to the next caller's first request that still waits."""
        while self._queues:
            caller, queue = next(iter(self._queues.items()))
            permit = next(iter(queue))
            self._forget(caller, permit)
            if queue:  # the caller's other requests move behind those of all other callers
                self._queues[caller] = self._queues.pop(caller)
            if not permit.done():
                permit.set_result(None)
                return
        self._free += 1

    def measure(self, granted: float) -> None:
        """Update `interval_s` after a permit was used without an error or cancellation; call it before `release`."""
        interval_s = (self._clock() - granted) / (self._count - self._free)
        self.interval_s += (interval_s - self.interval_s) * (_WEIGHT if self.interval_s else 1)

    def _forget(self, caller: str, permit: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller, {})
        queue.pop(permit, None)
        if not queue:
            self._queues.pop(caller, None)
