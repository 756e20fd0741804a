"""A semaphore that grants permits round-robin by caller, so that one caller's many requests delay no other's."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

_WEIGHT = 0.1
_Queue = dict[asyncio.Future[None], None]


class FairSemaphore:
    """`count` permits at once, and a queue for each caller; queues are served one after another.

    `interval_s` is the measured time between the ends of two permits while all are taken, 0 before the first.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._free, self._clock = count, count, clock
        self._queues: dict[str, _Queue] = {}
        self.interval_s = 0.0

    @property
    def free(self) -> int:
        """Permits that nobody has."""
        return self._free

    @property
    def waiting(self) -> Counter[str]:
        """How many wait, by caller."""
        return Counter({caller: len(queue) for caller, queue in self._queues.items()})

    @property
    def hold_s(self) -> float:
        """How long a permit is held while all are taken."""
        return self.interval_s * self._count

    async def acquire(self, caller: str) -> float:
        """Waits for a permit; returns the time at which it was granted, for `measure`."""
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
            else:  # granted in the same moment: the next one gets it, or it would be lost
                self.release()
            raise
        return self._clock()

    def release(self) -> None:
        """Hands a permit to the next caller's first request that still waits."""
        while self._queues:
            caller, queue = next(iter(self._queues.items()))
            permit = next(iter(queue))
            self._forget(caller, permit)
            if queue:  # the caller's others line up behind everybody else's
                self._queues[caller] = self._queues.pop(caller)
            if not permit.done():
                permit.set_result(None)
                return
        self._free += 1

    def measure(self, granted: float) -> None:
        """Updates `interval_s` from a permit that was used to its end; call it before `release`."""
        interval_s = (self._clock() - granted) / (self._count - self._free)
        self.interval_s += (interval_s - self.interval_s) * (_WEIGHT if self.interval_s else 1)

    def _forget(self, caller: str, permit: asyncio.Future[None]) -> None:
        queue = self._queues.get(caller, {})
        queue.pop(permit, None)
        if not queue:
            self._queues.pop(caller, None)
