"""Arrivals of requests: evenly from every stream, with jitter, at random times, or as recorded in an access log."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.errors import InvalidParameterError, brief

Pattern: TypeAlias = Literal["periodic", "jitter", "poisson"]
PATTERNS: tuple[Pattern, ...] = ("periodic", "jitter", "poisson")
Seconds: TypeAlias = npt.NDArray[np.float64]
Callers: TypeAlias = npt.NDArray[np.int64]
_HEAVY_PART = 20  # a caller that sends more than this fraction of all requests represents many clients
_MIN_POSTS = 100  # of a log, for a useful sample of arrivals
_METHODS = frozenset(("POST", "gRPC"))
_NO_ROOM = frozenset(("queue_full", "quota_exceeded", "deadline_exceeded", "draining"))


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Requests in order of arrival: seconds from the start, and the number of each request's caller."""

    moments_s: Seconds
    callers: Callers

    @property
    def per_s(self) -> float:
        """The mean rate between the first and the last request."""
        span_s = float(self.moments_s[-1] - self.moments_s[0]) if len(self.moments_s) > 1 else 0.0
        return (len(self.moments_s) - 1) / span_s if span_s else 0.0


@dataclass(frozen=True)
class Streams:
    """`count` streams of `fps` frames a second each.

    `periodic`: at even intervals, with a random phase for each stream. `jitter`: the same, with each frame shifted by a
    normally distributed time with the standard deviation `jitter_s`. `poisson`: at random times.
    """

    count: int
    fps: float
    pattern: Pattern = "periodic"
    jitter_s: float = 0.0

    def draw(self, seconds: float, chance: np.random.Generator) -> Arrivals:
        """Return random arrivals within this many seconds; every stream is a caller."""
        if self.pattern == "poisson":
            total = int(chance.poisson(self.count * self.fps * seconds))
            return _sort(chance.uniform(0, seconds, total), chance.integers(0, max(1, self.count), total))
        each = max(1, round(seconds * self.fps))
        phases = chance.uniform(0, 1 / self.fps, self.count)
        moments = (phases[:, None] + np.arange(each)[None, :] / self.fps).ravel()
        if self.pattern == "jitter":
            moments = moments + chance.normal(0, self.jitter_s, moments.size)
        return _sort(moments, np.repeat(np.arange(self.count), each))


def _sort(moments_s: Seconds, callers: Callers) -> Arrivals:
    order = np.argsort(moments_s, kind="stable")
    return Arrivals(moments_s[order], callers[order])


def read_trace(log: Path) -> Arrivals:
    """Return the posts of an access log in JSON lines, as `danmatte serve --access-log json` writes it.

    A line's `time` is the end of the response; the request arrived `total_ms` earlier. Requests that didn't compute
    masks are left out, unless they were rejected for lack of capacity. Raises InvalidParameterError, which names the
    line.
    """
    moments, callers, numbers = [], [], dict[str, int]()
    for moment, caller in _read_lines(log):
        moments.append(moment)
        callers.append(numbers.setdefault(caller, len(numbers)))
    if len(moments) < _MIN_POSTS:
        raise InvalidParameterError(f"{log}: expected at least {_MIN_POSTS} posts, received {len(moments)}")
    found = _sort(np.array(moments), np.array(callers))
    if found.moments_s[-1] == found.moments_s[0]:
        raise InvalidParameterError(f"{log}: expected posts at different times, received all at the same time")
    return Arrivals(found.moments_s - found.moments_s[0], found.callers)


def _read_lines(log: Path) -> Iterator[tuple[float, str]]:
    """Yield each post's arrival in seconds and its caller; line by line, because logs may not fit into memory."""
    try:
        with log.open("rb") as lines:
            for number, text in enumerate(lines, 1):
                if text.strip() and (found := _read_line(text, f"{log}: line {number}")):
                    yield found
    except OSError as error:
        raise InvalidParameterError(f"{log}: expected a readable access log: {error}") from error


def _read_line(text: bytes, place: str) -> tuple[float, str] | None:
    try:
        line = json.loads(text)
        # Requests that were computed, or rejected for lack of capacity. Requests without a valid key cost nothing.
        computed = line["method"] in _METHODS and line.get("model", "unknown") != ""
        if not computed and not (line["method"] in _METHODS and line.get("code") in _NO_ROOM):
            return None
        ended = datetime.fromisoformat(line["time"]).timestamp()
        return ended - float(line["total_ms"]) / 1e3, str(line["caller"])
    except (ValueError, KeyError, TypeError) as error:
        if not text.endswith(b"\n"):  # the server is still writing this line
            return None
        told = brief(text.decode(errors="replace").rstrip("\n"))
        raise InvalidParameterError(
            f"{place}: expected JSON with method, time, total_ms and caller, received {told}"
        ) from error


def find_heavy(callers: Callers) -> npt.NDArray[np.bool_]:
    """Return for each caller whether it sends more than a twentieth of all requests, like a backend or a proxy.

    Such a caller represents many viewers, rather than one with its own rhythm.
    """
    counts = np.bincount(callers)
    return counts * _HEAVY_PART > len(callers)


def multiply(arrivals: Arrivals, factor: float, chance: np.random.Generator) -> Arrivals:
    """Return arrivals of `factor` times as many callers: copies of the recorded ones, each shifted by a random time.

    For the fractional part of `factor`, some callers get one copy more than others, so that every caller keeps its own
    rhythm. Of a heavy caller, a random part of the requests is copied instead.
    """
    span_s = float(arrivals.moments_s[-1]) or 1.0
    count, whole = int(arrivals.callers.max()) + 1, math.floor(factor)
    heavy = find_heavy(arrivals.callers)
    moments, callers = [], []
    copies = np.full(count, whole)
    light = np.flatnonzero(~heavy)
    copies[light] = np.floor(factor + chance.permutation(len(light)) / max(1, len(light))).astype(int)
    for copy in range(whole + 1):
        kept = copies[arrivals.callers] > copy
        if copy == whole:
            kept |= heavy[arrivals.callers] & (chance.random(len(kept)) < factor - whole)
        shifts = chance.uniform(0, span_s, count) if copy else np.zeros(count)
        moments.append((arrivals.moments_s[kept] + shifts[arrivals.callers[kept]]) % (span_s + 1e-9))
        callers.append(arrivals.callers[kept] + copy * count)
    if not sum(map(len, moments)):
        return Arrivals(np.zeros(0), np.zeros(0, dtype=np.int64))
    return _sort(np.concatenate(moments), np.concatenate(callers))
