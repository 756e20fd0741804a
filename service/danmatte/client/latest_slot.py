"""A slot for one offer, in which the newest takes the place of the one before."""

import asyncio
import time
from typing import NamedTuple


class Waiting(NamedTuple):
    """An offer that may be bad; `arrived` is a `time.perf_counter()`, `skipped` the pts that it took the place of."""

    message: bytes
    pts: float
    arrived: float
    skipped: tuple[float, ...] = ()


class LatestSlot:
    """Holds the newest offer, and remembers the pts of those it replaced until it is taken."""

    def __init__(self) -> None:
        self._waiting: Waiting | None = None
        self._skipped: list[float] = []
        self._closed = False
        self._changed = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing waits, and nothing will come."""
        return self._closed and not self._waiting

    def count_skipped(self) -> int:
        """How many offers were replaced since the last one was taken."""
        return len(self._skipped)

    def put(self, message: bytes, pts: float) -> Waiting | None:
        """Lets the offer wait; the one that waited is skipped, and returned."""
        replaced = self._waiting
        if replaced:
            self._skipped.append(replaced.pts)
        self._waiting = Waiting(message, pts, time.perf_counter())
        self._changed.set()
        return replaced

    def skip(self, pts: float) -> None:
        """Counts an offer as skipped that there is no room for."""
        self._skipped.append(pts)

    def close(self) -> None:
        """Nothing more will come; what waits may still be taken."""
        self._closed = True
        self._changed.set()

    async def wait(self) -> None:
        """Returns when there is an offer, or none will come."""
        while not self._waiting and not self._closed:
            self._changed.clear()
            await self._changed.wait()

    async def take(self) -> Waiting | None:
        """The newest offer, waited for; None when none will come."""
        await self.wait()
        waiting, self._waiting = self._waiting, None
        if not waiting:
            return None
        skipped, self._skipped = tuple(self._skipped), []
        return waiting._replace(skipped=skipped)
