"""When requests come: evenly from every stream, with jitter, at random moments, or as an access log recorded them."""

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
_HEAVY_PART = 20  # who sends more than one request in so many stands for many
_FEWEST_LINES = 100  # of a log that says something about its arrivals
_METHODS = frozenset(("POST", "gRPC"))
_NO_ROOM = frozenset(("queue_full", "quota_exceeded", "deadline_exceeded", "draining"))


@dataclass(frozen=True, eq=False)
class Arrivals:
    """Requests in the order in which they come: seconds from the beginning, and each one's caller as a number."""

    moments_s: Seconds
    callers: Callers

    @property
    def per_s(self) -> float:
        """The mean rate between the first and the last."""
        span_s = float(self.moments_s[-1] - self.moments_s[0]) if len(self.moments_s) > 1 else 0.0
        return (len(self.moments_s) - 1) / span_s if span_s else 0.0


@dataclass(frozen=True)
class Streams:
    """So many streams, `fps` frames a second each.

    `periodic`: each at a random phase, and evenly from there. `jitter`: the same, each frame late or early by a
    normally distributed time with the standard deviation `jitter_s`. `poisson`: at random moments.
    """

    count: int
    fps: float
    pattern: Pattern = "periodic"
    jitter_s: float = 0.0

    def draw(self, seconds: float, chance: np.random.Generator) -> Arrivals:
        """What comes within so many seconds; every stream is a caller."""
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
    """The posts of an access log in JSON lines, as `danmatte serve --access-log json` writes it.

    A line's `time` is when the answer was finished, so `total_ms` earlier the request came. Lines of other paths than
    those that compute masks are left out. Raises InvalidParameterError, naming the line.
    """
    moments, callers, numbers = [], [], dict[str, int]()
    for moment, caller in _read_lines(log):
        moments.append(moment)
        callers.append(numbers.setdefault(caller, len(numbers)))
    if len(moments) < _FEWEST_LINES:
        raise InvalidParameterError(f"{log}: expected at least {_FEWEST_LINES} posts, received {len(moments)}")
    found = _sort(np.array(moments), np.array(callers))
    if found.moments_s[-1] == found.moments_s[0]:
        raise InvalidParameterError(f"{log}: expected posts over some time, received all of one moment")
    return Arrivals(found.moments_s - found.moments_s[0], found.callers)


def _read_lines(log: Path) -> Iterator[tuple[float, str]]:
    """When each post came, in seconds, and from whom; a line at a time, as logs are longer than memory."""
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
        # Was it computed, or would it have been had there been room? A stranger's guesses cost nothing.
        computed = line["method"] in _METHODS and line.get("model", "unknown") != ""
        if not computed and not (line["method"] in _METHODS and line.get("code") in _NO_ROOM):
            return None
        ended = datetime.fromisoformat(line["time"]).timestamp()
        return ended - float(line["total_ms"]) / 1e3, str(line["caller"])
    except (ValueError, KeyError, TypeError) as error:
        if not text.endswith(b"\n"):  # the server is still at it
            return None
        told = brief(text.decode(errors="replace").rstrip("\n"))
        raise InvalidParameterError(
            f"{place}: expected JSON with method, time, total_ms and caller, received {told}"
        ) from error


def find_heavy(callers: Callers) -> npt.NDArray[np.bool_]:
    """For each caller whether it sends more than a twentieth of all requests: a backend's key, say, or a proxy.

    Such a one isn't a viewer with a rhythm of its own: it is many of them.
    """
    counts = np.bincount(callers)
    return counts * _HEAVY_PART > len(callers)


def multiply(arrivals: Arrivals, factor: float, chance: np.random.Generator) -> Arrivals:
    """`factor` times as many callers: each recorded one again and again, shifted by a random part of the recording.

    A part of a caller's copy is left out as a whole, so that every caller keeps its own rhythm; a heavy caller's loses
    single requests instead.
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
