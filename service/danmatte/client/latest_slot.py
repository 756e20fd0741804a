"""A slot for one offer, in which a newer offer replaces the waiting one."""

import asyncio
import time
from typing import NamedTuple


class Waiting(NamedTuple):
    """A waiting offer, not validated yet; `arrived` is a `time.perf_counter()`.

    `skipped` are the pts of the offers that it and its predecessors replaced.
    """

    message: bytes
    pts: float
    arrived: float
    skipped: tuple[float, ...] = ()


class LatestSlot:
    """Holds the newest offer and, until it is taken, the pts of the offers that were skipped."""

    def __init__(self) -> None:
        self._waiting: Waiting | None = None
        self._skipped: list[float] = []
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether the slot is closed and empty."""
        return self._closed and not self._waiting

    def count_skipped(self) -> int:
        """Return how many offers have been skipped since the last one was taken."""
        return len(self._skipped)

    def put(self, message: bytes, pts: float) -> Waiting | None:
        """Put an offer into the slot. The one that was waiting there is skipped and returned."""
        replaced = self._waiting
        if replaced:
            self._skipped.append(replaced.pts)
        self._waiting = Waiting(message, pts, time.perf_counter())
        self._changed.set()
        return replaced

    def skip(self, pts: float) -> None:
        """Count an offer as skipped without putting it into the slot."""
        self._skipped.append(pts)

    def close(self) -> None:
        """Close the slot for new offers; a waiting one can still be taken."""
        self._closed = True
        self._changed.set()

    async def wait(self) -> None:
        """Wait until there is an offer, or the slot is closed."""
        while not self._waiting and not self._closed:
            self._changed.clear()
            await self._changed.wait()

    async def take(self) -> Waiting | None:
        """Wait for an offer, remove it from the slot, and return it; None if the slot is closed and empty."""
        await self.wait()
        waiting, self._waiting = self._waiting, None
        if not waiting:
            return None
        skipped, self._skipped = tuple(self._skipped), []
        return waiting._replace(skipped=skipped)
