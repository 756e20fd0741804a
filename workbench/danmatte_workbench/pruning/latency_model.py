"""A model of the time of a graph's convolutions after some of their channels are removed."""

from collections.abc import Mapping
from dataclasses import dataclass

from danmatte_workbench.pruning.channels import ChannelMap
from danmatte_workbench.pruning.importance import BLOCK


class LatencyModel:
    """Milliseconds of the graph's convolutions as a function of the remaining channels.

    Time is proportional to a convolution's output channels and to its input channels, both rounded up to the `BLOCK` of
    the kernels. ``left`` is the number of remaining channels by space; spaces not in it are whole.
    """

    def __init__(self, channels: ChannelMap, milliseconds: Mapping[str, float]) -> None:
        self._layers = {}
        for name, ms in milliseconds.items():
            lanes = (channels.lanes.get(name, ()), channels.get_input_lane(name))
            widths = tuple(tuple((channels.resolve(run.space), run.width) for run in lane) for lane in lanes if lane)
            self._layers[name] = _LayerLatency(ms, widths)
        self._by_space: dict[int, list[_LayerLatency]] = {}
        for layer in self._layers.values():
            for number in {number for lane in layer.lanes for number, _ in lane}:
                self._by_space.setdefault(number, []).append(layer)

    def predict_space(self, number: int, left: Mapping[int, int]) -> float:
        """Return the milliseconds of all convolutions that read or create a space's channels."""
        return sum(layer.predict(left) for layer in self._by_space.get(number, []))

    def predict_layers(self, left: Mapping[int, int]) -> dict[str, float]:
        """Return the milliseconds by convolution."""
        return {name: layer.predict(left) for name, layer in self._layers.items()}

    def predict_total(self, left: Mapping[int, int]) -> float:
        """Return the milliseconds of all convolutions."""
        return sum(self.predict_layers(left).values())


@dataclass(frozen=True)
class _LayerLatency:
    """A convolution's time, and the spaces, with their widths, that it creates and reads."""

    ms: float
    lanes: tuple[tuple[tuple[int, int], ...], ...]

    def predict(self, left: Mapping[int, int]) -> float:
        scale = 1.0
        for lane in self.lanes:
            some = sum(left.get(number, width) for number, width in lane)
            scale *= _round_up(some) / _round_up(sum(width for _, width in lane))
        return self.ms * scale


def _round_up(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK
