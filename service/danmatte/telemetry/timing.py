"""How long one answer spent in each of its phases."""

import math
import time
from collections.abc import Iterable, Sequence

PHASES = ("queue", "decode", "infer", "encode")
_FOREMOST = ("infer", "decode", "encode", "queue")


class Timing:
    """Milliseconds a request spent in each phase, for the `Server-Timing` header (W3C Server Timing).

    `spans` are the same in order: phase, begin and end by `time.perf_counter()`. `model` and `version` are who answers,
    empty and 0 where nobody was found; `region` is what a mask shows, empty where no mask was wanted. `batch` is how
    many items were computed together with this one, itself included, and 0 before; `parts` are those of a request of
    several items.
    """

    def __init__(self) -> None:
        self.model, self.version, self.region = "", 0, ""
        self.batch = 0
        self.parts: tuple[Timing, ...] = ()
        self._phases_ms: dict[str, float] = {}
        self.spans: list[tuple[str, float, float]] = []

    @property
    def phases_ms(self) -> dict[str, float]:
        """The milliseconds by phase, as they are now: a thread whose caller left may still add some."""
        return self._phases_ms.copy()

    def phase(self, name: str) -> "_Phase":
        """Adds the wall time of the block to the phase."""
        return _Phase(self, name)

    def add(self, name: str, *, since: float) -> None:
        """Adds the wall time since then, a `time.perf_counter()`, to the phase."""
        now = time.perf_counter()
        self.spend(name, (now - since) * 1e3)
        self.spans.append((name, since, now))

    def gather(self, parts: "Sequence[Timing]") -> None:
        """Adds the phases of parts that ran concurrently; a moment counts once, for the foremost phase of any part.

        So all phases together take no longer than the wall clock, however many parts there were.
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
        """Who answers, and with which region; the first one counts where a form's parts were answered by several."""
        if not self.model:
            self.model, self.version, self.region = model, version, region

    def spend(self, name: str, ms: float) -> None:
        """Adds milliseconds to the phase."""
        self._phases_ms[name] = self._phases_ms.get(name, 0.0) + ms

    def __str__(self) -> str:
        return ", ".join(f"{name};dur={ms:.2f}" for name, ms in self.phases_ms.items())


def _sum_covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """The length of the spans' union."""
    covered_s, until = 0.0, -math.inf
    for began, ended in sorted(spans):
        covered_s += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return covered_s


class _Phase:
    """A block that is timed; a generator would take several times as long, and every answer has four."""

    __slots__ = ("_name", "_start", "_timing")

    def __init__(self, timing: Timing, name: str) -> None:
        self._timing, self._name = timing, name

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._timing.add(self._name, since=self._start)
