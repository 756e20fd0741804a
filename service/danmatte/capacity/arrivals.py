"""When requests come: evenly from every stream, with jitter, at random moments, or as an access log recorded them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.errors import InvalidParameterError

Pattern: TypeAlias = Literal["periodic", "jitter", "poisson"]
PATTERNS: tuple[Pattern, ...] = ("periodic", "jitter", "poisson")
Seconds: TypeAlias = npt.NDArray[np.float64]
Callers: TypeAlias = npt.NDArray[np.int64]
_FEWEST_LINES = 100  # of a log that says something about its arrivals


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
    """When each post came, in seconds, and from whom."""
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"{log}: expected a readable access log: {error}") from error
    for number, text in enumerate(lines, 1):
        try:
            line = json.loads(text) if text.strip() else {"method": "GET"}
            if line["method"] == "POST":
                ended = datetime.fromisoformat(line["time"]).timestamp()
                yield ended - float(line["total_ms"]) / 1e3, str(line["caller"])
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidParameterError(
                f"{log}: line {number}: expected JSON with method, time, total_ms and caller, received {text[:80]!r}"
            ) from error


def multiply(arrivals: Arrivals, factor: float, chance: np.random.Generator) -> Arrivals:
    """`factor` times as many callers: each recorded one again and again, shifted by a random part of the recording.

    A part of a caller's copy is left out as a whole, so that every caller keeps its own rhythm.
    """
    span_s = float(arrivals.moments_s[-1]) or 1.0
    count = int(arrivals.callers.max()) + 1
    moments, callers = [], []
    copies = np.floor(factor + chance.permutation(count) / count).astype(int)
    for copy in range(int(copies.max(initial=0))):
        kept = copies[arrivals.callers] > copy
        shifts = chance.uniform(0, span_s, count) if copy else np.zeros(count)
        moments.append((arrivals.moments_s[kept] + shifts[arrivals.callers[kept]]) % (span_s + 1e-9))
        callers.append(arrivals.callers[kept] + copy * count)
    if not sum(map(len, moments)):
        return Arrivals(np.zeros(0), np.zeros(0, dtype=np.int64))
    return _sort(np.concatenate(moments), np.concatenate(callers))
