"""Live connections and streams: limited in number, shared fairly between callers, and closed with a reason."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from danmatte.errors import DrainingError, QueueFullError, ServiceError, UnauthorizedError
from danmatte.inference.quotas import Quotas

IDLE_S = 10.0  # a connection that received nothing for this long may be replaced by any new one
End = Callable[[ServiceError], None]
_AGAIN = "connect again"


class LiveCall:
    """An open connection or stream: its caller, and when it last received anything."""

    def __init__(self, caller: str, end: End, is_valid: Callable[[], bool]) -> None:
        self.caller, self.end, self.is_valid = caller, end, is_valid
        self.idle_since = time.monotonic()

    def note_use(self) -> None:
        """Record that something was received."""
        self.idle_since = time.monotonic()


class LiveCalls:
    """At most `limit` open connections and streams.

    At the limit, a new one replaces an idle one, or otherwise one of a caller that has at least two more than the new
    one's caller.
    """

    def __init__(self, limit: int, quotas: Quotas | None = None) -> None:
        self._limit, self._quotas = limit, quotas or Quotas()
        self._open: dict[LiveCall, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def open(self, caller: str, end: End, is_valid: Callable[[], bool] = lambda: True) -> Iterator[LiveCall]:
        """Register a connection for the length of a block; raises QueueFullError and QuotaError.

        `end` is called with the reason when the connection must close: it has to stop reading, answer the frames that
        it has already accepted, and close. `is_valid` returns whether the API key of the connection is still valid.
        """
        self._quotas.open(caller)
        try:
            yield from self._open_within_quota(caller, end, is_valid)
        finally:
            self._quotas.close(caller)

    def _open_within_quota(self, caller: str, end: End, is_valid: Callable[[], bool]) -> Iterator[LiveCall]:
        if len(self._open) >= self._limit and not self._make_room(caller):
            raise QueueFullError(f"all {self._limit} live connections and streams are in use (live_connections)")
        call = LiveCall(caller, end, is_valid)
        self._open[call] = None
        try:
            yield call
        finally:
            self._open.pop(call, None)

    def end_all(self) -> None:
        """End all connections and streams because the server is shutting down."""
        for call in [*self._open]:
            call.end(DrainingError(f"the server is shutting down; {_AGAIN}"))

    def end_revoked(self) -> None:
        """End the connections and streams whose API keys are no longer valid."""
        for call in [*self._open]:
            if not call.is_valid():
                self._end(call, UnauthorizedError("the API key was revoked"))

    def _make_room(self, caller: str) -> bool:
        held = Counter(call.caller for call in self._open)
        by_idleness = sorted(self._open, key=lambda call: call.idle_since)
        until = time.monotonic() - IDLE_S
        idle = [call for call in by_idleness if call.idle_since < until]
        greedy = [call for call in by_idleness if held[call.caller] > held[caller] + 1]
        if not idle and not greedy:
            return False
        chosen = max(idle or greedy, key=lambda call: held[call.caller])  # among equals, the one idle for longest
        self._end(chosen, QueueFullError(f"replaced by a connection of another caller; {_AGAIN}"))
        return True

    def _end(self, call: LiveCall, why: ServiceError) -> None:
        self._open.pop(call, None)  # at once, because the connection closes only later
        call.end(why)
