"""Timing in short windows, beside a reference, until they agree.

A shared machine's noise is common to neighbours in time. So what is timed takes turns with a reference that stays the
same, and what has to agree is the ratio of the two. Where it never does, the interval is wide and says so: timings
that disagree end no run (model_navigator's windows do).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from danmatte.contract.measurement import Host, Measurement


@dataclass(frozen=True)
class Window:
    """What one short run gave: frames a second, and the milliseconds of each inference in it."""

    frames_per_s: float
    latencies_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frames_per_s > 0 or not self.latencies_ms:
            raise ValueError(f"expected frames in a window. Received: {self.frames_per_s} a second")


@dataclass(frozen=True)
class Patience:
    """At least and at most so many windows; they agree within a share ``tolerance`` of their median."""

    min_windows: int = 3
    max_windows: int = 8
    tolerance: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.min_windows <= self.max_windows:
            raise ValueError(
                f"windows: expected 2 <= min_windows <= max_windows. Received: {self.min_windows}, {self.max_windows}"
            )
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance: expected a share between 0 and 1. Received: {self.tolerance}")

    def is_settled(self, values: Sequence[float]) -> bool:
        """Whether the newest ``least`` values agree."""
        newest = values[-self.min_windows :]
        middle = float(np.median(newest)) if newest else 0.0
        return (
            len(newest) == self.min_windows and max(abs(value - middle) for value in newest) <= self.tolerance * middle
        )


@dataclass(frozen=True)
class Windows:
    """Windows of what is timed and, one beside each, of the reference."""

    own: tuple[Window, ...]
    reference: tuple[Window, ...]
    agreed: bool

    @property
    def ratios(self) -> list[float]:
        """Frames a second over the reference's, window by window."""
        return [a.frames_per_s / b.frames_per_s for a, b in zip(self.own, self.reference, strict=True)]

    def measure_throughput(self, host: Host) -> Measurement:
        """Frames a second."""
        return Measurement.estimate_median("throughput", [window.frames_per_s for window in self.own], "frames/s", host)

    def measure_latency(self, host: Host) -> Measurement:
        """Milliseconds from an inference's start to its answer."""
        return Measurement.estimate_median(
            "latency", [ms for window in self.own for ms in window.latencies_ms], "ms", host
        )

    def measure_ratio(self, metric: str, host: Host) -> Measurement:
        """Throughput over the reference's."""
        return Measurement.estimate_median(metric, self.ratios, "×", host)


@dataclass(frozen=True)
class Timing:
    """``latency`` is of one inference, of a whole batch; ``ratio`` is throughput over the reference's.

    agreed: whether the windows did. mended: whether the graph had to be, for its batch (`graph.batching`).
    """

    throughput: Measurement
    latency: Measurement
    ratio: Measurement
    agreed: bool
    mended: bool = False


def gather_windows(
    own: Callable[[], Window], reference: Callable[[], Window], patience: Patience, *, until: float
) -> Windows:
    """Windows of both in turn, first one and then the other in front, until the ratios agree.

    Stops at the most windows that patience has, or with the least once the moment ``until`` (of `time.monotonic`)
    has passed.
    """
    mine: list[Window] = []
    theirs: list[Window] = []
    while True:
        for run, windows in ((own, mine), (reference, theirs))[:: 1 if len(mine) % 2 else -1]:
            windows.append(run())
        found = Windows(tuple(mine), tuple(theirs), agreed=False)
        if patience.is_settled(found.ratios):
            return Windows(found.own, found.reference, agreed=True)
        limit = patience.min_windows if time.monotonic() > until else patience.max_windows
        if len(mine) >= limit:
            return found
