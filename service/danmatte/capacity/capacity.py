"""`capacity.json`: measurements of one worker of the service, with one core and with all cores."""

import math
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from danmatte.capacity.arrivals import Seconds
from danmatte.capacity.simulation import WorkerModel
from danmatte.contract.measurement import Host
from danmatte.errors import InvalidParameterError
from danmatte.inference.limits import choose_limits
from danmatte.settings import Settings

FORMAT = 1
_QUANTILES = 400
_PICTURES = {"jpeg", "png", "webp", "nv12", "rgb24"}
_Positive = Annotated[float, Meta(gt=0)]
_Whole = Annotated[int, Meta(ge=1)]
_Side = Annotated[int, Meta(ge=1, le=16384)]


class FrameKind(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The format and size of frames, such as `jpeg:1280x720`."""

    format: str
    width: _Side
    height: _Side

    @classmethod
    def parse(cls, text: str) -> "FrameKind":
        """Parse `FORMAT:WIDTHxHEIGHT`; raises InvalidParameterError."""
        name, _, size = text.partition(":")
        width, _, height = size.partition("x")
        if name not in _PICTURES or not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            known = ", ".join(sorted(_PICTURES))
            raise InvalidParameterError(f"frame: expected FORMAT:WIDTHxHEIGHT with {known}, received {text!r}")
        return cls(name, int(width), int(height))

    def __str__(self) -> str:
        return f"{self.format}:{self.width}x{self.height}"


class MeasuredLoop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The figures of a loop: `connections` callers, each of which posts again after its response; 0 for an open loop.

    A single caller rests between its frames. `thread_ms` are equally spaced quantiles, in increasing order, of the time
    that a thread spends on a frame (decode, infer, encode). `overhead_ms` is the mean latency besides that and the wait
    for a thread.
    """

    cores: _Whole
    connections: Annotated[int, Meta(ge=0)]
    frame: FrameKind
    seconds: _Positive
    answered: _Whole
    per_s: _Positive
    p50_ms: _Positive
    p99_ms: _Positive
    thread_ms: Annotated[tuple[_Positive, ...], Meta(min_length=1)]
    overhead_ms: Annotated[float, Meta(ge=0)]

    @property
    def thread_s(self) -> Seconds:
        """The quantiles in seconds, resampled to the same number for every loop."""
        ranks = (np.arange(len(self.thread_ms)) + 0.5) / len(self.thread_ms)
        return np.interp((np.arange(_QUANTILES) + 0.5) / _QUANTILES, ranks, self.thread_ms) / 1e3


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The results of `danmatte measure`: one worker's loops, its settings, and the host.

    For each number of cores, there are two loops with the first kind of frame: one with enough connections to keep all
    cores busy, and an open loop; older files have one with a single connection instead. Every kind of frame has a loop
    with a single connection and one core. `resident_bytes` is the worker's memory at the end.
    """

    format: Annotated[int, Meta(ge=FORMAT, le=FORMAT)] = FORMAT
    created: str
    danmatte: str
    host: Host
    model: str
    version: int
    mask: str
    settings: Settings
    resident_bytes: int
    loops: Annotated[tuple[MeasuredLoop, ...], Meta(min_length=2)]

    @classmethod
    def read(cls, file: Path) -> "Capacity":
        """Read from JSON; raises InvalidParameterError."""
        try:
            found = msgspec.json.decode(file.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidParameterError(f"{file}: expected a file of `danmatte measure`: {error}") from error
        if not found.cores:
            raise InvalidParameterError(f"{file}: expected a loop with one connection and one with several")
        return found

    @property
    def frame(self) -> FrameKind:
        """The kind of frame that was measured with busy cores."""
        return self.loops[0].frame

    @property
    def frames(self) -> list[FrameKind]:
        """Every measured kind of frame."""
        return list(dict.fromkeys(loop.frame for loop in self.loops))

    @property
    def cores(self) -> list[int]:
        """The numbers of cores that were measured both with busy cores and with a light load, in increasing order."""
        busy = {loop.cores for loop in self.loops if loop.connections > 1 and loop.frame == self.frame}
        light = {loop.cores for loop in self.loops if loop.connections <= 1 and loop.frame == self.frame}
        return sorted(busy & light)

    def model_worker(self, cores: int, frame: FrameKind | None = None) -> WorkerModel:
        """Return the model of a worker of this many cores.

        For a number of cores that wasn't measured, the times are extrapolated from the next smaller measured number, or
        from the smallest. The time per frame of a busy core grows with a power of the number of cores; the exponent is
        that between the smallest and the largest measured number, or 0 if only one was measured. Raises
        InvalidParameterError for a kind of frame that wasn't measured.
        """
        base = max((known for known in self.cores if known <= cores), default=self.cores[0])
        light, busy = self._find(base, busy=False), self._find(base, busy=True)
        scale = self._scale_frame(frame or self.frame)
        taken_s = base / busy.per_s * (cores / base) ** self._find_exponent()  # time of one core for a frame
        limits = choose_limits(self.settings, cores)
        threads = self.settings.pixel_threads or cores
        # The event loop's CPU time for a frame, which delays not only the frame's own response but all others, too.
        loop_s = min(max(0.0, base / busy.per_s - float(busy.thread_s.mean())), light.overhead_ms / 1e3)
        light_s = light.thread_s + loop_s
        # A saturated worker may take less time for a frame than a lightly loaded one. The model must not: streams reach
        # their p99 before saturation.
        full_s = busy.thread_s / busy.thread_s.mean() * max(taken_s * threads / cores, float(light_s.mean()))
        return WorkerModel(
            cores=threads,
            permits=limits.permits,
            places=limits.places,
            max_wait_s=self.settings.max_wait_s,
            deadline_s=self.settings.deadline_s,
            light_s=light_s * scale,
            full_s=full_s * scale,
            light_overhead_s=light.overhead_ms / 1e3 - loop_s,
            full_overhead_s=light.overhead_ms / 1e3 - loop_s,
        )

    def _find(self, cores: int, *, busy: bool) -> MeasuredLoop:
        """Return the loop with the most connections, or the one with the fewest: the open loop, if there is one."""
        found = [loop for loop in self.loops if loop.cores == cores and loop.frame == self.frame]
        return (max if busy else min)(found, key=lambda loop: loop.connections)

    def _find_exponent(self) -> float:
        low, high = self.cores[0], self.cores[-1]
        if low == high:
            return 0.0
        slower = (high / self._find(high, busy=True).per_s) / (low / self._find(low, busy=True).per_s)
        return max(0.0, math.log(slower) / math.log(high / low))

    def _scale_frame(self, frame: FrameKind) -> float:
        """Return how many times longer a thread takes for such a frame than for one of the first kind."""
        if frame == self.frame:
            return 1.0
        alone = {loop.frame: loop for loop in reversed(self.loops) if loop.connections == 1}
        if frame not in alone:
            known = ", ".join(map(str, self.frames))
            raise InvalidParameterError(f"frame: expected one that was measured ({known}), received {frame}")
        first = next(loop for loop in self.loops if loop.connections == 1 and loop.cores == alone[frame].cores)
        return float(alone[frame].thread_s.mean() / first.thread_s.mean())
