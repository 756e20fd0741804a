"""Who may come in, who may compute, and for how long."""

import asyncio
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from danmatte.errors import DeadlineError, DrainingError, QueueFullError
from danmatte.inference.fair_semaphore import Turns
from danmatte.telemetry.metrics import Timing


@dataclass(eq=False)
class _Place:
    """Somebody inside: `asked` once for a turn, `begun` once it was had; rescheduling the timer throws them out."""

    caller: str
    timer: asyncio.Timeout
    lasting: bool
    asked: bool = False
    begun: bool = False


STUCK_AFTER = 8  # deadlines of the server's own in a row, not one answer between
_BELIEVED_DEADLINES = 2.0  # without one for that many deadlines' time, it is tried again

_PLACE: ContextVar[_Place | None] = ContextVar("place", default=None)


class Admission:
    """A front door with `queue` places, and `in_flight` turns behind it.

    Whoever would wait longer than `max_wait_s` isn't let in at all: a short line keeps its promises, a long one only
    adds to everybody's wait. One turn may always be waited for, if another still ends before the deadline. A body on
    its way is expected to want a turn no longer than that; one that takes longer keeps nobody out, and is asked again
    when it is there. Turns go round over the callers, and when all places are taken, who has more makes room for who
    has less.
    """

    def __init__(self, *, queue: int, in_flight: int, deadline_s: float, max_wait_s: float = 0.0) -> None:
        self._queue, self._deadline_s, self._max_wait_s = queue, deadline_s, max_wait_s
        self._turns = Turns(in_flight)
        self._places: dict[_Place, None] = {}
        self._lasting = 0
        self._arriving: dict[_Place, float] = {}  # whose bodies are on their way, and since when
        self._missed, self._missed_at = 0, 0.0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    @property
    def queue(self) -> int:
        """The places, taken or not, beside lasting ones."""
        return self._queue

    @property
    def inside(self) -> int:
        """The places taken, lasting ones included."""
        return len(self._places)

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return self._turns.waiting.total()

    @property
    def free(self) -> int:
        """The turns that nobody has."""
        return self._turns.free

    @property
    def stuck(self) -> bool:
        """Whether nothing was answered in time of late; ends by itself, so that it is tried again."""
        recent = time.monotonic() - self._missed_at < _BELIEVED_DEADLINES * self._deadline_s
        return self._missed >= STUCK_AFTER and recent

    @property
    def ready(self) -> bool:
        """Whether it makes sense to send somebody here."""
        return not self.draining and not self.stuck

    def place(self, caller: str = "", *, lasting: bool = False) -> AbstractAsyncContextManager[None]:
        """A place from the first byte of a post to the last of its answer.

        A `lasting` one is a connection's that comes for many turns: it is none of the `queue`, isn't given away, and
        nobody waits behind it while it asks for none. Raises QueueFullError, also later when the place is given to
        another caller before its first turn, and DrainingError once `drain` was called.
        """
        return _Inside(self, _Place(caller, asyncio.timeout(None), lasting, asked=lasting, begun=lasting))

    @staticmethod
    def keep_place() -> None:
        """From now on the place of whoever calls this isn't given away: its answer has begun."""
        if place := _PLACE.get():
            place.begun = True

    def deadline(self, timeout_s: float | None = None) -> AbstractAsyncContextManager[None]:
        """Ends the block with DeadlineError when it takes too long, waiting for a turn included.

        `timeout_s` is the caller's own limit, where it is below the server's.
        """
        return _Deadline(self, min(timeout_s or self._deadline_s, self._deadline_s))

    def turn(self, timing: Timing, caller: str = "") -> AbstractAsyncContextManager[None]:
        """One of the turns to compute; the wait is the `queue` phase."""
        return _Turn(self, self._turns, timing, caller)

    async def drain(self, timeout_s: float) -> bool:
        """Lets nobody in any more and waits for those inside; False when some are left."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def expected_wait_s(self, caller: str = "") -> float:
        """How long one more of this caller's would wait for a turn.

        Of every caller's demand only so much comes before it as the caller has itself: turns go round.
        """
        if len(self._arriving) < self._turns.free:  # nobody waits, and nobody will
            return 0
        demand = self._demand()
        own = demand.pop(caller, 0)
        before = own + sum(min(others, own + 1) for others in demand.values())
        return max(0, before + 1 - self._turns.free) * self._turns.interval_s

    def _miss(self, limit_s: float) -> None:
        """What a caller is too impatient for says nothing of the server."""
        if limit_s == self._deadline_s:
            self._missed, self._missed_at = self._missed + 1, time.monotonic()

    def _let_in(self, place: _Place) -> None:
        self._check(place)
        self._places[place] = None
        self._lasting += place.lasting
        if not place.asked:
            self._arriving[place] = time.monotonic()
        self._empty.clear()

    def _let_out(self, place: _Place) -> None:
        if place in self._places:
            del self._places[place]
            self._lasting -= place.lasting
        self._arriving.pop(place, None)
        if not self._places:
            self._empty.set()

    def _check(self, place: _Place) -> None:
        if self.draining:
            raise DrainingError("the server is shutting down")
        self._check_wait(place.caller)
        full = not place.lasting and self.inside - self._lasting >= self._queue
        if full and not self._make_room(place.caller):
            raise QueueFullError(f"all {self._queue} places are taken", self._backlog_s())

    def _check_wait(self, caller: str) -> None:
        wait_s = self.expected_wait_s(caller)
        if wait_s > self._longest_wait_s():
            raise QueueFullError(f"it would wait {wait_s:.2g} s for its turn", self._backlog_s())

    def _ask(self, place: _Place) -> None:
        """For its first turn; raises QueueFullError where nobody expected it any more, and there is a line by now."""
        if not place.asked and self._arriving.pop(place, None) is None:
            self._check_wait(place.caller)
        place.asked = True

    def _longest_wait_s(self) -> float:
        """One turn at least, but not so long that its own would end after the deadline."""
        turn_s = self._turns.turn_s
        return min(max(self._max_wait_s, turn_s), max(0.0, self._deadline_s - turn_s))

    def _make_room(self, caller: str) -> bool:
        """Throws out the newest of the caller who has most places, as far as that is fair and still costs nothing."""
        held = Counter(place.caller for place in self._places if not place.lasting)
        for greedy, most in held.most_common():
            if most <= held[caller] + 1:
                break
            for place in reversed(self._places):
                if place.caller == greedy and not place.begun:
                    self._let_out(place)  # from now on the newcomer's
                    place.timer.reschedule(asyncio.get_running_loop().time())
                    return True
        return False

    def _demand(self) -> Counter[str]:
        """Turns that are still to be had, by caller: those who wait, and those whose bodies have begun to arrive."""
        expected_since = time.monotonic() - self._longest_wait_s()
        for place in [place for place, since in self._arriving.items() if since < expected_since]:
            del self._arriving[place]
        return Counter(place.caller for place in self._arriving) + self._turns.waiting

    def _backlog_s(self) -> float:
        return self._demand().total() * self._turns.interval_s


# Generators would be shorter, and take three times as long: every post goes through three of these.


class _Inside:
    def __init__(self, admission: Admission, place: _Place) -> None:
        self._admission, self._place = admission, place

    async def __aenter__(self) -> None:
        self._admission._let_in(self._place)
        self._before = _PLACE.set(self._place)
        await self._place.timer.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        self._admission._let_out(self._place)
        _PLACE.reset(self._before)  # or the task, with its answer, would wait for the garbage collector
        try:
            await self._place.timer.__aexit__(*error)
        except TimeoutError as late:
            raise QueueFullError("the place went to a caller who had fewer", self._admission._backlog_s()) from late


class _Deadline:
    def __init__(self, admission: Admission, limit_s: float) -> None:
        self._admission, self._limit_s = admission, limit_s

    async def __aenter__(self) -> None:
        self._timer = asyncio.timeout(self._limit_s)
        await self._timer.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._timer.__aexit__(*error)
        except TimeoutError as late:
            self._admission._miss(self._limit_s)
            raise DeadlineError(f"no answer within {self._limit_s:g} s", self._admission._backlog_s()) from late


class _Turn:
    def __init__(self, admission: Admission, turns: Turns, timing: Timing, caller: str) -> None:
        self._admission, self._turns, self._timing, self._caller = admission, turns, timing, caller

    async def __aenter__(self) -> None:
        place = _PLACE.get()
        if place:
            self._admission._ask(place)
        with self._timing.phase("queue"):
            self._began = await self._turns.take(self._caller)
        if place:
            place.begun = True

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._turns.measure(self._began)
            self._admission._missed = 0
        self._turns.give_back()
