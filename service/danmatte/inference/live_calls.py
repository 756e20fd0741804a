"""Live connections and streams: so many at once, shared fairly by their callers, each ended when there is a reason."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from danmatte.errors import DrainingError, QueueFullError, ServiceError, UnauthorizedError
from danmatte.inference.quotas import Quotas

IDLE_S = 10.0  # one that nothing came on for so long gives way to whoever comes
End = Callable[[ServiceError], None]
_AGAIN = "connect again"


class LiveCall:
    """A connection or stream that is open: its caller, and since when nothing came on it."""

    def __init__(self, caller: str, end: End, is_valid: Callable[[], bool]) -> None:
        self.caller, self.end, self.is_valid = caller, end, is_valid
        self.idle_since = time.monotonic()

    def note_use(self) -> None:
        """Something came."""
        self.idle_since = time.monotonic()


class LiveCalls:
    """At most `limit` at once. When all are taken, one that idles makes room, or one of the caller who has most."""

    def __init__(self, limit: int, quotas: Quotas | None = None) -> None:
        self._limit, self._quotas = limit, quotas or Quotas()
        self._open: dict[LiveCall, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def open(self, caller: str, end: End, is_valid: Callable[[], bool] = lambda: True) -> Iterator[LiveCall]:
        """A connection for as long as the block lasts; raises QueueFullError and QuotaError.

        `end` is called with the reason when it is to leave: it stops reading, answers what it took, and closes.
        `is_valid` tells whether the key that it was opened with still counts.
        """
        self._quotas.open(caller)
        try:
            yield from self._open_within_quota(caller, end, is_valid)
        finally:
            self._quotas.close(caller)

    def _open_within_quota(self, caller: str, end: End, is_valid: Callable[[], bool]) -> Iterator[LiveCall]:
        if len(self._open) >= self._limit and not self._make_room(caller):
            raise QueueFullError(f"all {self._limit} live connections and streams are taken (live_connections)")
        call = LiveCall(caller, end, is_valid)
        self._open[call] = None
        try:
            yield call
        finally:
            self._open.pop(call, None)

    def end_all(self) -> None:
        """Ends all of them, as the server is going."""
        for call in [*self._open]:
            call.end(DrainingError(f"the server is going; {_AGAIN}"))

    def end_revoked(self) -> None:
        """Ends those whose keys count no more."""
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
        chosen = max(idle or greedy, key=lambda call: held[call.caller])  # the first of equals: who idles longest
        self._end(chosen, QueueFullError(f"the connection went to another caller; {_AGAIN}"))
        return True

    def _end(self, call: LiveCall, why: ServiceError) -> None:
        self._open.pop(call, None)  # now: it notices only later
        call.end(why)
