"""What a graph's convolutions will take when some of their channels are gone."""

from collections.abc import Mapping
from dataclasses import dataclass

from danmatte_workbench.pruning.channels import Map
from danmatte_workbench.pruning.importance import BLOCK


class Clock:
    """Milliseconds of the graph's convolutions as their channels go."""

    def __init__(self, chart: Map, milliseconds: Mapping[str, float]) -> None:
        self._jobs = {name: _Job.of(chart, name, ms) for name, ms in milliseconds.items()}
        self._of: dict[int, list[_Job]] = {}
        for job in self._jobs.values():
            for number in {number for lane in job.lanes for number, _ in lane}:
                self._of.setdefault(number, []).append(job)

    def of(self, number: int, left: Mapping[int, int]) -> float:
        """Milliseconds of all convolutions that a space's channels enter or leave."""
        return sum(job.now(left) for job in self._of.get(number, []))

    def each(self, left: Mapping[int, int]) -> dict[str, float]:
        """Milliseconds by convolution when of each space so many channels are left."""
        return {name: job.now(left) for name, job in self._jobs.items()}

    def total(self, left: Mapping[int, int]) -> float:
        """Milliseconds of them all."""
        return sum(self.each(left).values())


@dataclass(frozen=True)
class _Job:
    """A convolution's time, and the spaces with their widths that it makes and that it reads."""

    ms: float
    lanes: tuple[tuple[tuple[int, int], ...], ...]

    @classmethod
    def of(cls, chart: Map, name: str, ms: float) -> "_Job":
        lanes = (chart.lanes.get(name, ()), chart.input_lane(name))
        return cls(ms, tuple(tuple((chart.of(part.space), part.width) for part in lane) for lane in lanes if lane))

    def now(self, left: Mapping[int, int]) -> float:
        """Time falls with what is made and with what is read, in the steps that the kernels have."""
        scale = 1.0
        for lane in self.lanes:
            some = sum(left.get(number, width) for number, width in lane)
            scale *= _rounded(some) / _rounded(sum(width for _, width in lane))
        return self.ms * scale


def _rounded(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK
