"""Admission: which requests are let in, which compute now, and how long one may take."""

import asyncio
import time
from collections import Counter
from types import TracebackType
from typing import Self

from danmatte.errors import DeadlineError, DrainingError, QueueFullError
from danmatte.inference.fair_semaphore import FairSemaphore
from danmatte.telemetry.timing import Timing

STUCK_AFTER = 8  # deadlines of the server's own missed in a row, with not one answer in between
_BELIEVED_DEADLINES = 2.0  # for that many deadlines' time without another miss; then it is tried again


class Admission:
    """`queue` places for requests, and behind them `in_flight` permits to compute.

    Rejects a request whose predicted wait exceeds `max_wait_s`: a short queue keeps its promises, a long one only adds
    to everybody's wait. One permit may always be waited for if it would still be granted and used before the deadline.
    A body on its way is expected to want a permit no later than that; one that takes longer keeps nobody out, and its
    wait is predicted again when it is there. Permits are granted round-robin by caller. When all places are taken, the
    newest request of the caller with most places that hasn't begun makes room for a caller who has fewer.
    """

    def __init__(self, *, queue: int, in_flight: int, deadline_s: float, max_wait_s: float = 0.0) -> None:
        self._queue, self._deadline_s, self._max_wait_s = queue, deadline_s, max_wait_s
        self._permits = FairSemaphore(in_flight)
        self._places: dict[Place, None] = {}
        self._lasting = 0
        self._arriving: dict[Place, float] = {}  # whose bodies are on their way, and since when
        self._missed, self._missed_at = 0, 0.0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = False

    @property
    def queue(self) -> int:
        """How many places there are, not counting lasting ones."""
        return self._queue

    @property
    def inside(self) -> int:
        """The places taken, lasting ones included."""
        return len(self._places)

    @property
    def waiting(self) -> int:
        """How many wait for a permit."""
        return self._permits.waiting.total()

    @property
    def free(self) -> int:
        """The permits that nobody has."""
        return self._permits.free

    @property
    def stuck(self) -> bool:
        """Whether the last requests all missed the deadline. Becomes False after a while, so that it is tried again."""
        recent = time.monotonic() - self._missed_at < _BELIEVED_DEADLINES * self._deadline_s
        return self._missed >= STUCK_AFTER and recent

    @property
    def ready(self) -> bool:
        """Whether new requests have a chance: the server is neither draining nor stuck."""
        return not self.draining and not self.stuck

    def place(self, caller: str = "", *, lasting: bool = False) -> "Place":
        """A place from the first byte of a body to the last of its answer; an asynchronous context manager.

        A `lasting` place is for a connection that takes many permits: it isn't counted in `queue`, is never given away,
        and adds to nobody's predicted wait while it asks for no permit. Entering raises QueueFullError, and
        DrainingError once `drain` was called; leaving raises QueueFullError if the place was given to another caller.
        """
        return Place(self, caller, lasting=lasting)

    def deadline(self, timeout_s: float | None = None) -> "Deadline":
        """A time limit for a block, waits for permits included; raises DeadlineError.

        `timeout_s` is the caller's own limit, where it is below the server's.
        """
        return Deadline(self, min(timeout_s or self._deadline_s, self._deadline_s))

    async def drain(self, timeout_s: float) -> bool:
        """Lets no request in any more and waits for those inside; False if some are left after `timeout_s`."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def predict_wait_s(self, caller: str = "") -> float:
        """How long another request of this caller would wait for a permit, in seconds.

        Permits are granted round-robin: of each other caller's requests only as many come first as the caller has.
        """
        if len(self._arriving) < self._permits.free:  # nobody waits, and nobody will
            return 0
        demand = self._demand()
        own = demand.pop(caller, 0)
        before = own + sum(min(others, own + 1) for others in demand.values())
        return max(0, before + 1 - self._permits.free) * self._permits.interval_s

    def _enter(self, place: "Place") -> None:
        if self.draining:
            raise DrainingError("the server is shutting down")
        self._check_wait(place.caller)
        full = not place.lasting and self.inside - self._lasting >= self._queue
        if full and not self._evict_for(place.caller):
            raise QueueFullError(f"all {self._queue} places are taken", self._backlog_s())
        self._places[place] = None
        self._lasting += place.lasting
        if not place.asked:
            self._arriving[place] = time.monotonic()
        self._empty.clear()

    def _leave(self, place: "Place") -> None:
        if place in self._places:
            del self._places[place]
            self._lasting -= place.lasting
        self._arriving.pop(place, None)
        if not self._places:
            self._empty.set()

    def _ask(self, place: "Place") -> None:
        """Registers the first wait for a permit; predicts the wait again if the body took longer than expected."""
        if not place.asked and self._arriving.pop(place, None) is None:
            self._check_wait(place.caller)
        place.asked = True

    def _check_wait(self, caller: str) -> None:
        wait_s = self.predict_wait_s(caller)
        if wait_s > self._longest_wait_s():
            raise QueueFullError(f"it would wait {wait_s:.2g} s before it is computed", self._backlog_s())

    def _longest_wait_s(self) -> float:
        """The longest wait accepted: that for one permit at least, but leaving time to use it before the deadline."""
        # Where pictures take seconds the deadline is the limit: the work of a request that misses it is thrown away.
        hold_s = self._permits.hold_s
        return min(max(self._max_wait_s, hold_s), max(0.0, self._deadline_s - hold_s))

    def _evict_for(self, caller: str) -> bool:
        """Evicts the newest unstarted request of the caller with most places, if it has two more than `caller`."""
        held = Counter(place.caller for place in self._places if not place.lasting)
        for greedy, most in held.most_common():
            if most <= held[caller] + 1:
                break
            for place in reversed(self._places):
                if place.caller == greedy and not place.begun:
                    self._leave(place)  # now: its task notices only later that it was thrown out
                    place.timer.reschedule(asyncio.get_running_loop().time())
                    return True
        return False

    def _demand(self) -> Counter[str]:
        """Permits still to be granted, by caller: to requests that wait, and to those whose bodies are arriving."""
        # A body that takes longer than anybody would wait is left out: two slow uploads for each permit would otherwise
        # shut everybody else out for as long as a body may take, while the cores idle.
        expected_since = time.monotonic() - self._longest_wait_s()
        for place in [place for place, since in self._arriving.items() if since < expected_since]:
            del self._arriving[place]
        return Counter(place.caller for place in self._arriving) + self._permits.waiting

    def _backlog_s(self) -> float:
        return self._demand().total() * self._permits.interval_s


# Generators would be shorter than these context managers, and take three times as long: a request enters all three.


class Place:
    """A request inside: `asked` once it wanted its first permit, `begun` once it has it and can't be evicted."""

    def __init__(self, admission: Admission, caller: str, *, lasting: bool = False) -> None:
        self._admission = admission
        self.caller, self.lasting = caller, lasting
        self.asked = self.begun = lasting
        self.timer = asyncio.timeout(None)  # rescheduled to now, it throws the request out

    def permit(self, timing: Timing) -> "Permit":
        """A permit to compute, for the length of a block; the wait for it is the `queue` phase.

        Raises QueueFullError if the body took long to arrive and the wait has become too long meanwhile.
        """
        return Permit(self._admission, self, timing)

    def keep(self) -> None:
        """Keeps the place from being given away: its answer has begun."""
        self.begun = True

    async def __aenter__(self) -> Self:
        self._admission._enter(self)
        await self.timer.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admission._leave(self)
        try:
            await self.timer.__aexit__(kind, error, trace)
        except TimeoutError as late:
            raise QueueFullError("the place went to a caller who had fewer", self._admission._backlog_s()) from late


class Permit:
    """A permit to compute; how long it was held is what waits are predicted from."""

    def __init__(self, admission: Admission, place: Place, timing: Timing) -> None:
        self._admission, self._place, self._timing = admission, place, timing

    async def __aenter__(self) -> None:
        admission, place = self._admission, self._place
        admission._ask(place)
        with self._timing.phase("queue"):
            self._granted = await admission._permits.acquire(place.caller)
        place.begun = True

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        permits = self._admission._permits
        if kind is None:
            permits.measure(self._granted)
            self._admission._missed = 0
        permits.release()


class Deadline:
    """A time limit on a block; raises DeadlineError when it is exceeded."""

    def __init__(self, admission: Admission, limit_s: float) -> None:
        self._admission, self._limit_s = admission, limit_s

    async def __aenter__(self) -> None:
        self._timer = asyncio.timeout(self._limit_s)
        await self._timer.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError as late:
            admission = self._admission
            if self._limit_s == admission._deadline_s:  # a caller's own impatience says nothing about the server
                admission._missed, admission._missed_at = admission._missed + 1, time.monotonic()
            raise DeadlineError(f"no answer within {self._limit_s:g} s", admission._backlog_s()) from late
