"""Quotas by API key: request rate, requests in progress, live connections. An error names the quota exceeded."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from danmatte.errors import QuotaError
from danmatte.http.api_keys import Quota

_MAX_BUCKETS = 10_000


@dataclass
class _Bucket:
    """A token bucket: the requests that may come at once, as of the time `since`."""

    tokens: float
    since: float


class Quotas:
    """The use that each key has made of its quota; the subjects of tokens share the quota of their key."""

    def __init__(self, find: Callable[[str], Quota | None] = lambda caller: None) -> None:
        """`find` returns a caller's quota, or None if it has none."""
        self._find = find
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._in_flight: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def check_rate(self, caller: str) -> None:
        """Count a request towards the rate and the burst; raises QuotaError, which says when to retry."""
        quota, key, now = self._find(caller), _find_key(caller), time.monotonic()
        if not quota or not quota.rate:
            return
        burst = quota.burst or max(1, math.ceil(quota.rate))
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.since) * quota.rate)
        bucket.since = now
        if bucket.tokens < 1:
            wait_s = (1 - bucket.tokens) / quota.rate
            raise QuotaError(f"rate: {key} may send {quota.rate:g} requests a second, {burst} at once", wait_s)
        bucket.tokens -= 1

    def enter(self, caller: str) -> None:
        """Count a request as in progress; raises QuotaError."""
        quota, key = self._find(caller), _find_key(caller)
        if quota and quota.in_flight and self._in_flight[key] >= quota.in_flight:
            raise QuotaError(f"in_flight: {key} may have {quota.in_flight} requests in progress at once")
        self.check_rate(caller)
        self._in_flight[key] += 1

    def leave(self, caller: str) -> None:
        """Count a request as finished."""
        _subtract(self._in_flight, _find_key(caller))

    def open(self, caller: str) -> None:
        """Count a live connection or stream as open; raises QuotaError."""
        quota, key = self._find(caller), _find_key(caller)
        if quota and quota.streams and self._streams[key] >= quota.streams:
            raise QuotaError(f"streams: {key} may have {quota.streams} live connections and streams at once")
        self._streams[key] += 1

    def close(self, caller: str) -> None:
        """Count a live connection or stream as closed."""
        _subtract(self._streams, _find_key(caller))


def _find_key(caller: str) -> str:
    return caller.partition("/")[0]


def _subtract(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
