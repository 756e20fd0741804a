"""Admission control: limits on queued requests, concurrent computation, bytes in memory and time per request."""

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

STUCK_AFTER = 8  # consecutive misses of the server's own deadline, without a successful response in between
_STUCK_DEADLINES = 2.0  # multiple of the deadline for which `stuck` holds after the last miss
STALLED_S = 1.0  # a response that its client hasn't read from for this long may be aborted to free resources
MAX_BYTES = 96 * 2**20


class Admission:
    """A bounded queue of `queue` places for requests, and `in_flight` permits to compute.

    A request is rejected if its predicted wait exceeds `max_wait_s`, because a longer queue would only delay every
    request. A wait as long as one permit is held is always accepted, if it leaves time to use the permit before the
    deadline. A request whose body is still arriving is expected to need a permit within the longest accepted wait. If
    the body takes longer, other requests are admitted as if it weren't there, and its own wait is predicted again once
    the body is complete. Permits are granted round-robin by caller. When all places are taken, the caller with the
    most places loses its newest request that hasn't started, in favour of a caller with fewer places.

    `max_bytes` limits the bodies and responses in memory together. When it is reached, or all places are taken, a
    stalled response is aborted first. If none is stalled, a response that is still being read may be aborted in favour
    of a caller that holds less.
    """

    def __init__(
        self,
        *,
        queue: int,
        in_flight: int,
        deadline_s: float,
        max_wait_s: float = 0.0,
        max_bytes: int = MAX_BYTES,
        quotas: Quotas | None = None,
    ) -> None:
        self._queue, self._deadline_s, self._max_wait_s = queue, deadline_s, max_wait_s
        self._max_bytes, self._held_bytes = max_bytes, 0
        self._permits, self._quotas = FairSemaphore(in_flight), quotas or Quotas()
        self._places: dict[Place, None] = {}
        self._long_lived = 0
        self._arriving: dict[Place, float] = {}  # requests whose bodies are still arriving, with their start times
        self._missed, self._missed_at = 0, 0.0
        self._empty = asyncio.Event()
        self._empty.set()
        self.draining = self.leaving = False  # leaving: draining starts soon, so report not ready

    @property
    def queue(self) -> int:
        """The maximum number of places, not counting long-lived ones."""
        return self._queue

    @property
    def occupied(self) -> int:
        """The number of places in use, including long-lived ones."""
        return len(self._places)

    @property
    def held_bytes(self) -> int:
        """The size of all bodies and responses in memory."""
        return self._held_bytes

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a permit."""
        return self._permits.waiting.total()

    @property
    def free(self) -> int:
        """The number of available permits."""
        return self._permits.free

    @property
    def stuck(self) -> bool:
        """Whether the last `STUCK_AFTER` requests all missed the deadline.

        Becomes False some time after the last miss, so that the server gets requests again.
        """
        recent = time.monotonic() - self._missed_at < _STUCK_DEADLINES * self._deadline_s
        return self._missed >= STUCK_AFTER and recent

    @property
    def ready(self) -> bool:
        """Whether new requests can be served: the server is neither leaving nor draining nor stuck."""
        return not (self.leaving or self.draining or self.stuck)

    def place(self, caller: str = "", *, long_lived: bool = False) -> "Place":
        """Return an asynchronous context manager that occupies a place.

        Enter it at the first byte of a body and leave it after the last byte of the response. A `long_lived` place is
        for a connection that takes many permits. It doesn't count towards `queue`, is never evicted, and adds to a
        predicted wait only while it waits for a permit.

        Entering raises QueueFullError, QuotaError, and DrainingError once `drain` was called. Leaving raises
        QueueFullError if the place was evicted.
        """
        return Place(self, caller, long_lived=long_lived)

    def deadline(self, timeout_s: float | None = None) -> "Deadline":
        """Return a time limit for a block, including waits for permits; raises DeadlineError.

        `timeout_s` is the client's own limit. It applies if it is below the server's.
        """
        return Deadline(self, min(timeout_s or self._deadline_s, self._deadline_s))

    async def drain(self, timeout_s: float) -> bool:
        """Reject new requests and wait for those in progress; return False if some remain after `timeout_s`."""
        self.draining = True
        try:
            await asyncio.wait_for(self._empty.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def predict_wait_s(self, caller: str = "") -> float:
        """Return how long another request of this caller would wait for a permit, in seconds.

        Permits are granted round-robin. If this caller has n requests waiting, at most n + 1 of each other caller are
        therefore served before the new one.
        """
        if len(self._arriving) < self._permits.free:  # enough permits for all, including this request
            return 0
        demand = self._demand()
        own = demand.pop(caller, 0)
        before = own + sum(min(others, own + 1) for others in demand.values())
        return max(0, before + 1 - self._permits.free) * self._permits.interval_s

    def _enter(self, place: "Place") -> None:
        if self.draining:
            raise DrainingError("the server is shutting down")
        self._check_wait(place.caller)
        if not place.long_lived:
            self._quotas.enter(place.caller)  # before evicting: a request over its quota must not evict others
            if self.occupied - self._long_lived >= self._queue and not self._evict_for(place.caller):
                self._quotas.leave(place.caller)
                raise QueueFullError(f"all {self._queue} places are taken (queue)", self._backlog_s())
        self._places[place] = None
        self._long_lived += place.long_lived
        if not place.asked:
            self._arriving[place] = time.monotonic()
        self._empty.clear()

    def _leave(self, place: "Place") -> None:
        if place in self._places:
            del self._places[place]
            self._long_lived -= place.long_lived
            if not place.long_lived:
                self._quotas.leave(place.caller)
            self._held_bytes -= place.held_bytes
            place.held_bytes = 0
        self._arriving.pop(place, None)
        if not self._places:
            self._empty.set()

    def _ask(self, place: "Place") -> None:
        """Record that a place needs a permit; predict the wait again if the body took longer than expected.

        Each permit of a long-lived place counts as one request in its caller's rate quota.
        """
        if place.long_lived:
            self._quotas.check_rate(place.caller)
        if not place.asked and self._arriving.pop(place, None) is None:
            self._check_wait(place.caller)
        place.asked = True

    def _check_wait(self, caller: str) -> None:
        wait_s = self.predict_wait_s(caller)
        if wait_s > self._longest_wait_s():
            raise QueueFullError(f"it would wait {wait_s:.2g} s before it is computed", self._backlog_s())

    def _longest_wait_s(self) -> float:
        """Return the longest wait accepted: at least the wait for one permit, limited by the deadline."""
        # The limit leaves time to use the permit. If pictures take seconds, a longer wait would only produce results
        # that miss the deadline and are discarded.
        hold_s = self._permits.hold_s
        return min(max(self._max_wait_s, hold_s), max(0.0, self._deadline_s - hold_s))

    def _evict_for(self, caller: str) -> bool:
        """Evict a stalled response, or a request of the caller with the most places; return whether one was evicted.

        That caller must have at least two places more than `caller`. It loses its newest request that hasn't started,
        or otherwise the response that its client read from longest ago.
        """
        held = Counter(place.caller for place in self._places if not place.long_lived)
        return self._evict_stalled(held) or self._evict_greedy(held, held[caller] + 1)

    def _hold(self, place: "Place", count: int) -> None:
        """Add bytes to the place, evicting others if needed; raises QueueFullError if that isn't enough."""
        if place not in self._places:  # evicted, and its task hasn't been resumed yet
            return
        while self._held_bytes + count > self._max_bytes and self._held_bytes > place.held_bytes:
            held = Counter[str]()
            for other in self._places:
                held[other.caller] += other.held_bytes
            if not (self._evict_stalled(held) or self._evict_greedy(held, held[place.caller] + count)):
                limit = f"{self._max_bytes} bytes (max_bytes_under_way)"
                raise QueueFullError(f"bodies and answers in memory have reached {limit}", self._backlog_s())
        self._held_bytes += count
        place.held_bytes += count

    def _evict_stalled(self, held: Counter[str]) -> bool:
        """Abort the response that has stalled longest, of the caller that holds most; return whether there was one."""
        since = time.monotonic() - STALLED_S
        stalled = [place for place in self._places if place.abort and place.moved_at < since]
        if stalled:
            self._evict(max(stalled, key=lambda place: (held[place.caller], -place.moved_at)))
        return bool(stalled)

    def _evict_greedy(self, held: Counter[str], own: int) -> bool:
        """Evict a request of the caller that holds most, if that is more than `own`; return whether one was evicted."""
        for greedy, count in held.most_common():
            if count <= own:
                break
            theirs = [place for place in self._places if place.caller == greedy]
            waiting = [place for place in reversed(theirs) if not place.begun]
            sending = sorted((place for place in theirs if place.abort), key=lambda place: place.moved_at)
            if victims := waiting or sending:
                self._evict(victims[0])
                return True
        return False

    def _evict(self, place: "Place") -> None:
        self._leave(place)  # at once, because its task is cancelled only later
        if place.abort:
            place.abort()
        else:
            place.timer.reschedule(asyncio.get_running_loop().time())

    def _demand(self) -> Counter[str]:
        """Return the permits still needed, by caller: for requests that wait or whose bodies are still arriving."""
        # A body that takes longer than the longest accepted wait is no longer counted. Otherwise, two slow uploads for
        # each permit would block all other callers for as long as a body may take, while the cores idle.
        expected_since = time.monotonic() - self._longest_wait_s()
        for place in [place for place, since in self._arriving.items() if since < expected_since]:
            del self._arriving[place]
        return Counter(place.caller for place in self._arriving) + self._permits.waiting

    def _backlog_s(self) -> float:
        return self._demand().total() * self._permits.interval_s


# Every request enters these three context managers. Generator-based ones would be shorter, but three times as slow.


class Place:
    """An admitted request.

    `asked` is set once it needs its first permit, and `begun` once it has that permit and can't be evicted any more.
    It holds the bytes of its body and its response. While a part of the response is being written, `abort` is the
    function that aborts it, and `moved_at` the `time.monotonic()` at which that part was started.
    """

    def __init__(self, admission: Admission, caller: str, *, long_lived: bool = False) -> None:
        self._admission = admission
        self.caller, self.long_lived = caller, long_lived
        self.asked = self.begun = long_lived
        self.timer = asyncio.timeout(None)  # rescheduled to now, it cancels the request
        self.held_bytes, self.moved_at = 0, 0.0
        self.abort: Callable[[], object] | None = None

    def hold(self, count: int) -> None:
        """Add `count` bytes to those held, until they are released or the place is left.

        Raises QueueFullError if the limit on bytes in memory is reached and no other request can be evicted.
        """
        self._admission._hold(self, count)

    def release(self, count: int) -> None:
        """Subtract `count` bytes from those held."""
        if self in self._admission._places:
            count = min(count, self.held_bytes)
            self.held_bytes -= count
            self._admission._held_bytes -= count

    @contextmanager
    def send(self, abort: Callable[[], object]) -> Iterator[None]:
        """Enter a block that writes a part of the response; `abort` is called if the response has to be aborted.

        A response that its client doesn't read is aborted first. From the first such block on, the request can only be
        aborted, not evicted.
        """
        self.begun, self.abort, self.moved_at = True, abort, time.monotonic()
        try:
            yield
        finally:
            self.abort = None

    def permit(self, timing: Timing) -> "Permit":
        """Return a permit to compute, as an asynchronous context manager; the wait is timed as the phase `queue`.

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
            raise QueueFullError(
                "evicted in favour of a caller with fewer requests or bytes", self._admission._backlog_s()
            ) from late


class Permit:
    """A permit to compute. The time that permits are held is measured, to predict waits."""

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
    """A time limit for a block; raises DeadlineError when it is exceeded."""

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
            if is_own:  # a client's shorter limit says nothing about the server
                admission._missed, admission._missed_at = admission._missed + 1, time.monotonic()
            limit = f"{self._limit_s:g} s" + " (deadline_s)" * is_own
            raise DeadlineError(f"no answer within {limit}", admission._backlog_s()) from late
