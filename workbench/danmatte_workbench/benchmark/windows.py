"""Timing in short windows, alternating with a reference, until the ratios agree.

On a shared machine, measurements that are close in time have similar noise. So the subject alternates with a constant
reference, and the ratio of the two has to agree between windows. If it never does, the interval is wide and the result
is marked; it isn't an error, in contrast to model_navigator.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from danmatte.contract.measurement import Host, Measurement


@dataclass(frozen=True)
class Window:
    """Result of one short run: frames a second, and the milliseconds of each inference."""

    frames_per_s: float
    latencies_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.frames_per_s > 0 or not self.latencies_ms:
            raise ValueError(f"expected frames in a window. Received: {self.frames_per_s} a second")


@dataclass(frozen=True)
class Patience:
    """Limits of the number of windows, and the tolerance within which they agree, as a share of their median."""

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
        """Whether the last ``min_windows`` values agree."""
        newest = values[-self.min_windows :]
        middle = float(np.median(newest)) if newest else 0.0
        return (
            len(newest) == self.min_windows and max(abs(value - middle) for value in newest) <= self.tolerance * middle
        )


@dataclass(frozen=True)
class Windows:
    """Windows of the subject, and the same number of windows of the reference."""

    own: tuple[Window, ...]
    reference: tuple[Window, ...]
    agreed: bool

    @property
    def ratios(self) -> list[float]:
        """Frames a second divided by the reference's, window by window."""
        return [a.frames_per_s / b.frames_per_s for a, b in zip(self.own, self.reference, strict=True)]

    def measure_throughput(self, host: Host) -> Measurement:
        """Return the median of frames a second."""
        return Measurement.estimate_median("throughput", [window.frames_per_s for window in self.own], "frames/s", host)

    def measure_latency(self, host: Host) -> Measurement:
        """Return the median milliseconds from an inference's start to its result."""
        return Measurement.estimate_median(
            "latency", [ms for window in self.own for ms in window.latencies_ms], "ms", host
        )

    def measure_ratio(self, metric: str, host: Host) -> Measurement:
        """Return the median ratio of throughput to the reference's, under the name ``metric``."""
        return Measurement.estimate_median(metric, self.ratios, "×", host)


@dataclass(frozen=True)
class Timing:
    """Measurements of one setting.

    latency: of one inference, which is a whole batch. ratio: throughput divided by the reference's. agreed: whether
    the windows agreed. mended: whether the graph had to be rewritten to accept the batch (`graph.batching`).
    """

    throughput: Measurement
    latency: Measurement
    ratio: Measurement
    agreed: bool
    mended: bool = False


def gather_windows(
    own: Callable[[], Window], reference: Callable[[], Window], patience: Patience, *, until: float
) -> Windows:
    """Run windows of both alternately, with the order reversed in every second pair, until the ratios agree.

    Stops after the patience's maximum of windows, or after its minimum once the time ``until`` (of `time.monotonic`)
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
