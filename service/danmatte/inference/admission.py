"""Admission: which requests are let in, which compute now, how many bytes they hold, and how long one may take."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from danmatte.errors import DeadlineError, DrainingError, QueueFullError
from danmatte.inference.fair_semaphore import FairSemaphore
from danmatte.inference.quotas import Quotas
from danmatte.telemetry.timing import Timing

STUCK_AFTER = 8  # deadlines of the server's own missed in a row, with not one answer in between
_BELIEVED_DEADLINES = 2.0  # for that many deadlines' time without another miss; then it is tried again
STALLED_S = 1.0  # an answer of which nothing was read for so long is given up where its room is needed
MOST_BYTES = 96 * 2**20


class Admission:
    """`queue` places for requests, and behind them `in_flight` permits to compute.

    Rejects a request whose predicted wait exceeds `max_wait_s`: a short queue keeps its promises, a long one only adds
    to everybody's wait. One permit may always be waited for if it would still be granted and used before the deadline.
    A body on its way is expected to want a permit no later than that; one that takes longer keeps nobody out, and its
    wait is predicted again when it is there. Permits are granted round-robin by caller. When all places are taken, the
    newest request of the caller with most places that hasn't begun makes room for a caller who has fewer.

    Bodies and answers that are in memory have one limit, `most_bytes`. Where it is reached, or all places are taken, an
    answer that nobody reads is given up for whoever needs the room, and an answer that is being read for a caller who
    holds less.
    """

    def __init__(
        self,
        *,
        queue: int,
        in_flight: int,
        deadline_s: float,
        max_wait_s: float = 0.0,
        most_bytes: int = MOST_BYTES,
        quotas: Quotas | None = None,
    ) -> None:
        self._queue, self._deadline_s, self._max_wait_s = queue, deadline_s, max_wait_s
        self._most_bytes, self._held_bytes = most_bytes, 0
        self._permits, self._quotas = FairSemaphore(in_flight), quotas or Quotas()
        self._places: dict[Place, None] = {}
        self._lasting = 0
        self._arriving: dict[Place, float] = {}  # whose bodies are on their way, and since when
        self._missed, self._missed_at = 0, 0.0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = self.leaving = False  # leaving: soon to be drained, and nobody new is to be sent here

    @property
    def queue(self) -> int:
        """How many places there are, not counting lasting ones."""
        return self._queue

    @property
    def inside(self) -> int:
        """The places taken, lasting ones included."""
        return len(self._places)

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies and answers that are in memory."""
        return self._held_bytes

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
        """Whether new requests have a chance: the server is neither leaving nor draining nor stuck."""
        return not (self.leaving or self.draining or self.stuck)

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
        if not place.lasting:
            self._quotas.enter(place.caller)  # first: who may not come in evicts nobody
            if self.inside - self._lasting >= self._queue and not self._evict_for(place.caller):
                self._quotas.leave(place.caller)
                raise QueueFullError(f"all {self._queue} places are taken (queue)", self._backlog_s())
        self._places[place] = None
        self._lasting += place.lasting
        if not place.asked:
            self._arriving[place] = time.monotonic()
        self._empty.clear()

    def _leave(self, place: "Place") -> None:
        if place in self._places:
            del self._places[place]
            self._lasting -= place.lasting
            if not place.lasting:
                self._quotas.leave(place.caller)
            self._held_bytes -= place.held_bytes
            place.held_bytes = 0
        self._arriving.pop(place, None)
        if not self._places:
            self._empty.set()

    def _ask(self, place: "Place") -> None:
        """Registers the first wait for a permit; predicts the wait again if the body took longer than expected.

        Each of a lasting place counts as a request of its caller's quota.
        """
        if place.lasting:
            self._quotas.check_rate(place.caller)
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
        """Evicts an answer that nobody reads, or a request of the caller with most places.

        That has to have two more than `caller`, and loses its newest request that hasn't begun, or an answer.
        """
        held = Counter(place.caller for place in self._places if not place.lasting)
        return self._evict_stalled(held) or self._evict_greedy(held, held[caller] + 1)

    def _hold(self, place: "Place", count: int) -> None:
        """Counts bytes as the place's, and makes room for them; raises QueueFullError where there is none."""
        if place not in self._places:  # it was evicted, and hears of it soon
            return
        while self._held_bytes + count > self._most_bytes and self._held_bytes > place.held_bytes:
            held = Counter[str]()
            for other in self._places:
                held[other.caller] += other.held_bytes
            if not (self._evict_stalled(held) or self._evict_greedy(held, held[place.caller] + count)):
                limit = f"{self._most_bytes} bytes"
                raise QueueFullError(f"bodies and answers take all of max_bytes_under_way, {limit}", self._backlog_s())
        self._held_bytes += count
        place.held_bytes += count

    def _evict_stalled(self, held: Counter[str]) -> bool:
        """Gives up an answer of which nothing was read for a while: of who holds most, the one that waits longest."""
        since = time.monotonic() - STALLED_S
        stalled = [place for place in self._places if place.give_up and place.moved_at < since]
        if stalled:
            self._evict(max(stalled, key=lambda place: (held[place.caller], -place.moved_at)))
        return bool(stalled)

    def _evict_greedy(self, held: Counter[str], own: int) -> bool:
        """Evicts a request of the caller who holds most, as long as that is more than `own`."""
        for greedy, most in held.most_common():
            if most <= own:
                break
            theirs = [place for place in self._places if place.caller == greedy]
            waiting = [place for place in reversed(theirs) if not place.begun]
            leaving = sorted((place for place in theirs if place.give_up), key=lambda place: place.moved_at)
            if victims := waiting or leaving:
                self._evict(victims[0])
                return True
        return False

    def _evict(self, place: "Place") -> None:
        self._leave(place)  # now: its task notices only later that it was thrown out
        if place.give_up:
            place.give_up()
        else:
            place.timer.reschedule(asyncio.get_running_loop().time())

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
    """A request inside: `asked` once it wanted its first permit, `begun` once it has it and can't be evicted.

    It holds the bytes of its body and its answer. While some of that is written, `give_up` is how it is given up, and
    `moved_at` a `time.monotonic()` since when nothing of it was read.
    """

    def __init__(self, admission: Admission, caller: str, *, lasting: bool = False) -> None:
        self._admission = admission
        self.caller, self.lasting = caller, lasting
        self.asked = self.begun = lasting
        self.timer = asyncio.timeout(None)  # rescheduled to now, it throws the request out
        self.held_bytes, self.moved_at = 0, 0.0
        self.give_up: Callable[[], object] | None = None

    def hold(self, count: int) -> None:
        """Counts so many bytes as held until they are `let_go` or the place is left.

        Raises QueueFullError where there is no room.
        """
        self._admission._hold(self, count)

    def let_go(self, count: int) -> None:
        """Counts so many bytes as no longer held."""
        if self in self._admission._places:
            count = min(count, self.held_bytes)
            self.held_bytes -= count
            self._admission._held_bytes -= count

    @contextmanager
    def send(self, give_up: Callable[[], object]) -> Iterator[None]:
        """The block writes some of the answer, which may be given up meanwhile, by calling this.

        The longer nobody reads, the more easily. From then on the request isn't thrown out any more.
        """
        self.begun, self.give_up, self.moved_at = True, give_up, time.monotonic()
        try:
            yield
        finally:
            self.give_up = None

    def permit(self, timing: Timing) -> "Permit":
        """A permit to compute, for the length of a block; the wait for it is the `queue` phase.

        Raises QueueFullError if the body took long to arrive and the wait has become too long meanwhile.
        """
        return Permit(self._admission, self, timing)

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
            is_own = self._limit_s == admission._deadline_s
            if is_own:  # a caller's own impatience says nothing about the server
                admission._missed, admission._missed_at = admission._missed + 1, time.monotonic()
            limit = f"{self._limit_s:g} s" + " (deadline_s)" * is_own
            raise DeadlineError(f"no answer within {limit}", admission._backlog_s()) from late
