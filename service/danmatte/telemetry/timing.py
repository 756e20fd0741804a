"""Timing of a request's phases."""

import math
import time
from collections.abc import Iterable, Sequence

PHASES = ("queue", "decode", "infer", "encode")
_FOREMOST = ("infer", "decode", "encode", "queue")


class Timing:
    """The time that a request spent in each phase, in milliseconds; `str` gives a `Server-Timing` header (W3C).

    `spans` lists the phases in order, each with its begin and end as `time.perf_counter()`. `model` and `version` are
    those that computed the response; empty and 0 if none was found. `region` is what the mask shows, empty if no mask
    was requested. `batch` is the number of items computed in the same call of the engine, including this one; 0 before
    that call. `parts` are the timings of a request's items, if it has several.
    """

    def __init__(self) -> None:
        self.model, self.version, self.region = "", 0, ""
        self.batch = 0
        self.parts: tuple[Timing, ...] = ()
        self._phases_ms: dict[str, float] = {}
        self.spans: list[tuple[str, float, float]] = []

    @property
    def phases_ms(self) -> dict[str, float]:
        """A copy of the milliseconds by phase, because a thread may still add to them after the client disconnected."""
        return self._phases_ms.copy()

    def phase(self, name: str) -> "_Phase":
        """Return a context manager that adds the wall time of its block to the phase."""
        return _Phase(self, name)

    def add(self, name: str, *, since: float) -> None:
        """Add the wall time since `since`, a `time.perf_counter()`, to the phase."""
        now = time.perf_counter()
        self.spend(name, (now - since) * 1e3)
        self.spans.append((name, since, now))

    def gather(self, parts: "Sequence[Timing]") -> None:
        """Add the phases of parts that ran concurrently, without counting any moment twice.

        If parts were in different phases at the same moment, it counts for the first of those phases in the order of
        `_FOREMOST`. So the sum of all phases never exceeds the elapsed time.
        """
        spans, before, covered_s = [span for part in parts for span in part.spans], [], 0.0
        for name in _FOREMOST:
            before += [(began, ended) for phase, began, ended in spans if phase == name]
            whole_s = _sum_covered_s(before)
            if whole_s > covered_s:
                self.spend(name, (whole_s - covered_s) * 1e3)
            covered_s = whole_s
        self.spans += spans
        self.parts += tuple(parts)
        for part in parts:
            self.note_version(part.model, part.version, part.region)

    def note_version(self, model: str, version: int, region: str = "") -> None:
        """Set the model, version and region of the response.

        Only the first call with a model has an effect, so that of several parts, the first one's model is recorded.
        """
        if not self.model:
            self.model, self.version, self.region = model, version, region

    def spend(self, name: str, ms: float) -> None:
        """Add milliseconds to the phase."""
        self._phases_ms[name] = self._phases_ms.get(name, 0.0) + ms

    def __str__(self) -> str:
        return ", ".join(f"{name};dur={ms:.2f}" for name, ms in self.phases_ms.items())


def _sum_covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of the spans."""
    covered_s, until = 0.0, -math.inf
    for began, ended in sorted(spans):
        covered_s += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return covered_s


class _Phase:
    """Context manager that times its block.

    It is a class because `contextlib.contextmanager` is several times slower, and every response has four phases.
    """

    __slots__ = ("_name", "_start", "_timing")

    def __init__(self, timing: Timing, name: str) -> None:
        self._timing, self._name = timing, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._timing.add(self._name, since=self._start)
