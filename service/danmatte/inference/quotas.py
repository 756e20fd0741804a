"""Quotas by key: requests a second, requests inside, live connections. A refusal says which, and when to come back."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from danmatte.errors import QuotaError
from danmatte.http.api_keys import Quota

_MOST_BUCKETS = 10_000


@dataclass
class _Bucket:
    """Requests that may come at once, as of a moment."""

    tokens: float
    since: float


class Quotas:
    """What each key has taken of its quota; a token's subject shares that of its key."""

    def __init__(self, find: Callable[[str], Quota | None] = lambda caller: None) -> None:
        """`find` gives a caller's quota, None for one without."""
        self._find = find
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._inside: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()

    def check_rate(self, caller: str) -> None:
        """Takes one of the requests that come in a second, and of those that come at once; raises QuotaError."""
        quota, key, now = self._find(caller), _find_key(caller), time.monotonic()
        if not quota or not quota.rate:
            return
        burst = quota.burst or max(1, math.ceil(quota.rate))
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.since) * quota.rate)
        bucket.since = now
        if bucket.tokens < 1:
            wait_s = (1 - bucket.tokens) / quota.rate
            raise QuotaError(f"rate: {key} may ask {quota.rate:g} times a second, {burst} at once", wait_s)
        bucket.tokens -= 1

    def enter(self, caller: str) -> None:
        """Counts a request as inside; raises QuotaError."""
        quota, key = self._find(caller), _find_key(caller)
        if quota and quota.in_flight and self._inside[key] >= quota.in_flight:
            raise QuotaError(f"in_flight: {key} may have {quota.in_flight} requests inside at once")
        self.check_rate(caller)
        self._inside[key] += 1

    def leave(self, caller: str) -> None:
        """Counts it as left."""
        _subtract(self._inside, _find_key(caller))

    def open(self, caller: str) -> None:
        """Counts a live connection or stream as open; raises QuotaError."""
        quota, key = self._find(caller), _find_key(caller)
        if quota and quota.streams and self._streams[key] >= quota.streams:
            raise QuotaError(f"streams: {key} may have {quota.streams} live connections and streams at once")
        self._streams[key] += 1

    def close(self, caller: str) -> None:
        """Counts it as closed."""
        _subtract(self._streams, _find_key(caller))


def _find_key(caller: str) -> str:
    return caller.partition("/")[0]


def _subtract(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
