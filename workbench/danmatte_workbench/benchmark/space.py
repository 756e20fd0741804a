"""The search space of a sweep, its measured points, and curves through them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from danmatte.contract.configuration import Configuration
from danmatte_workbench.benchmark.windows import Timing
from danmatte_workbench.configuration import Setting

BATCHES = (1, 2, 4, 8, 16)
AXES = ("batch", "streams", "threads", "requests", "pinning")
REQUESTS = (1, 2, 4)  # infer requests per stream
_MEASURED = ("throughput", "latency", "ratio")
Axis = Literal["batch", "threads"]


@dataclass(frozen=True)
class Point:
    """A setting and its timing. If it couldn't be measured, ``timing`` is None and ``note`` has the reason."""

    setting: Setting
    timing: Timing | None
    note: str = ""

    @property
    def publishable(self) -> bool:
        """Whether the manifest can express it: that has no pinning option, and serving doesn't rewrite graphs."""
        return self.timing is not None and self.setting.pinning and not self.timing.mended

    def apply_to(self, base: Configuration) -> Configuration:
        """Return ``base`` with this point's setting."""
        return self.setting.configuration(base)

    def to_json(self) -> dict[str, Any]:
        """Return the point as plain data: axes, measurements (None if missing), agreement and note."""
        measured = {name: getattr(self.timing, name).numbers if self.timing else None for name in _MEASURED}
        axes = {axis: getattr(self.setting, axis) for axis in AXES}
        return {**axes, **measured, "agreed": bool(self.timing and self.timing.agreed), "note": self.note}

    def __str__(self) -> str:
        if self.timing is None:
            return f"{self.setting}: {self.note}"
        unsure = "" if self.timing.agreed else ", windows disagree"
        return f"{self.setting}: {self.timing.throughput}, {self.timing.ratio.value:.2f} × the reference{unsure}"


@dataclass(frozen=True)
class Space:
    """The values that may be combined, with no more streams than threads.

    threads: (0,) for devices on which it can't be set.
    """

    streams: tuple[int, ...]
    threads: tuple[int, ...]
    batches: tuple[int, ...] = BATCHES
    pinning: tuple[bool, ...] = field(default=(True, False))

    @classmethod
    def for_cpu(cls, cores: int) -> "Space":
        """Return a space with powers of two, and ``cores`` halved repeatedly, for streams and threads."""
        shifts = range(cores.bit_length())
        steps = tuple(sorted({1 << shift for shift in shifts} | {cores >> shift for shift in shifts}))
        return cls(steps, steps)

    @classmethod
    def for_accelerator(cls) -> "Space":
        """Return a space for a device whose threads can't be set."""
        return cls((1, 2, 4), (0,), pinning=(True,))

    @property
    def reference(self) -> Setting:
        """The default for throughput: the maximum number of streams, two infer requests each."""
        return Setting(1, self.streams[-1], self.threads[-1], 2 * self.streams[-1])

    @property
    def soonest(self) -> Setting:
        """The default for latency: one picture at a time on all threads."""
        return Setting(1, 1, self.threads[-1], 1)

    @property
    def lines(self) -> list[Setting]:
        """The settings to measure first: both defaults, then those along the curves of `make_curves`."""
        batches = [replace(self.reference, batch=batch) for batch in self.batches]
        counts = self.threads if self.threads != (0,) else ()
        wide = [Setting(1, threads, threads, 2 * threads) for threads in counts]
        narrow = [Setting(1, 1, threads, 1) for threads in counts]
        return list(dict.fromkeys([self.reference, self.soonest, *batches, *wide, *narrow]))


def find_best(
    points: Sequence[Point],
    objective: Literal["throughput", "latency"] | str = "throughput",
    *,
    max_latency_ms: float = float("inf"),
) -> Point | None:
    """Return the best publishable point that beats the objective's default by its whole interval; None if none does.

    The defaults are `Space.reference` for throughput and `Space.soonest` for latency. Only points whose windows agreed
    are considered. points: from `run_sweep`, the reference first.
    """
    timings = {point: point.timing for point in points if point.timing and point.publishable}
    fit = {point: found for point, found in timings.items() if found.agreed and found.latency.high <= max_latency_ms}
    if objective == "throughput":
        faster = [point for point, timing in fit.items() if timing.ratio.low > 1 and point != points[0]]
        return max(faster, key=lambda point: fit[point].ratio.value, default=None)
    usual = Setting(1, 1, points[0].setting.threads, 1)
    limit = next((timing.latency.low for point, timing in timings.items() if point.setting == usual), 0.0)
    sooner = [point for point, timing in fit.items() if timing.latency.high < limit]
    return min(sooner, key=lambda point: fit[point].latency.value, default=None)


@dataclass(frozen=True)
class Curve:
    """Measured points along ``axis``, in ascending order. ``title`` names the settings that are constant.

    Plot ``ratio`` for the shape, because the machine's noise doesn't affect it, and throughput or latency for absolute
    values.
    """

    axis: Axis
    title: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        places = [getattr(point.setting, self.axis) for point in self.points]
        if places != sorted(set(places)):
            raise ValueError(f"{self.title}: expected points in the order of {self.axis}. Received: {places}")


def make_curves(points: Sequence[Point]) -> tuple[Curve, ...]:
    """Return curves along batch size, along threads with a stream each, and along threads with one stream.

    points: from `sweep.run_sweep`, the reference first. Curves of a single point are omitted.
    """
    if not points:
        return ()
    usual = points[0].setting
    rules: tuple[tuple[Axis, str, Callable[[Setting], Setting]], ...] = (
        ("batch", f"by batch, streams {usual.streams}", lambda at: replace(usual, batch=at.batch)),
        (
            "threads",
            "by threads, a stream each",
            lambda at: Setting(1, at.threads or 1, at.threads, 2 * at.threads or 1),
        ),
        ("threads", "by threads, one stream", lambda at: Setting(1, 1, at.threads, 1)),
    )
    found = (Curve(axis, title, _select_along(axis, points, rule)) for axis, title, rule in rules)
    return tuple(curve for curve in found if len(curve.points) > 1)


def _select_along(axis: Axis, points: Sequence[Point], rule: Callable[[Setting], Setting]) -> tuple[Point, ...]:
    """Return the measured points on a curve, sorted: those whose setting equals ``rule`` of it."""
    on_it = [point for point in points if point.timing and point.setting == rule(point.setting)]
    return tuple(sorted(on_it, key=lambda point: int(getattr(point.setting, axis))))
