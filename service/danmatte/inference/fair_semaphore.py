"""Turns to compute: so many at once, handed round over the callers."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

_WEIGHT = 0.1
_Line = dict[asyncio.Future[None], None]


class Turns:
    """A semaphore with a line for each caller, served one after another, so that nobody's crowd delays another's.

    `interval_s` is the measured time between two turns' ends while all are taken, 0 before the first.
    """

    def __init__(self, count: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._count, self._free, self._clock = count, count, clock
        self._lines: dict[str, _Line] = {}
        self.interval_s = 0.0

    @property
    def free(self) -> int:
        """Turns that nobody has."""
        return self._free

    @property
    def waiting(self) -> Counter[str]:
        """How many wait, by caller."""
        return Counter({caller: len(line) for caller, line in self._lines.items()})

    @property
    def turn_s(self) -> float:
        """How long a turn takes while all are taken."""
        return self.interval_s * self._count

    async def take(self, caller: str) -> float:
        """Waits for a turn; answers with when it began, which `measure` wants."""
        if not self._free:
            await self._wait(caller)
        else:
            self._free -= 1
        return self._clock()

    def give_back(self) -> None:
        """Hands the turn to the next caller's first who is still there."""
        while self._lines:
            caller, line = next(iter(self._lines.items()))
            turn = next(iter(line))
            self._forget(caller, turn)
            if line:  # the caller's others line up behind everybody else
                self._lines[caller] = self._lines.pop(caller)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def measure(self, began: float) -> None:
        """Learns from a turn that was used to its end; to be called before it is given back."""
        interval_s = (self._clock() - began) / (self._count - self._free)
        self.interval_s += (interval_s - self.interval_s) * (_WEIGHT if self.interval_s else 1)

    async def _wait(self, caller: str) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._lines.setdefault(caller, {})[turn] = None
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(caller, turn)
            else:  # it had just been handed over
                self.give_back()
            raise

    def _forget(self, caller: str, turn: asyncio.Future[None]) -> None:
        line = self._lines.get(caller, {})
        line.pop(turn, None)
        if not line:
            self._lines.pop(caller, None)
