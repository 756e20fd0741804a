"""Which channels of a graph belong together, and the graph without some of them.

A convolution makes channels; biases, activations, depthwise convolutions, resizes and pooling keep them apart;
additions tie those of both sides together, concatenations line them up; the next pointwise convolutions mix them.
What is tied lives and dies together: a `Space`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import openvino as ov
from openvino import opset13 as ops

_KEEPING = frozenset(
    {"AvgPool", "Clamp", "Convert", "HSwish", "Interpolate", "MaxPool", "ReduceMean", "Relu", "Sigmoid", "Squeeze"}
    | {"Swish", "Unsqueeze"}
)
_TYING = frozenset({"Add", "Divide", "Maximum", "Multiply", "Subtract"})


@dataclass(frozen=True)
class Segment:
    """A run of one space's channels, all of them, in a tensor."""

    space: int
    width: int


Lane = tuple[Segment, ...]  # a tensor's channels, in order


@dataclass
class Space:
    """Channels that go together: the convolutions that make them and those that mix them, by name."""

    width: int
    makers: list[str] = field(default_factory=list)
    keepers: list[str] = field(default_factory=list)
    mixers: list[str] = field(default_factory=list)
    fixed: bool = False


class Map:
    """All spaces of a graph. ``lanes`` says what each tensor's channels are, by the name of the node that makes it."""

    def __init__(self, model: ov.Model) -> None:
        self._spaces: list[Space] = []
        self._same: list[int] = []
        self.lanes: dict[str, Lane] = {}
        self._entering: dict[str, Lane] = {}
        for node in model.get_ordered_ops():
            if node.get_type_name() != "Constant":
                self._visit(node)

    def spaces(self) -> dict[int, Space]:
        """Those that may lose channels, by number."""
        return {
            number: space
            for number, space in enumerate(self._spaces)
            if self.of(number) == number and not space.fixed and space.makers and space.mixers
        }

    def of(self, number: int) -> int:
        """The space that this one has been tied to."""
        while self._same[number] != number:
            number = self._same[number]
        return number

    def makers(self) -> list[tuple[str, Lane]]:
        """The convolutions that make channels, and which."""
        return [(name, self.lanes[name]) for name in self._entering]

    def input_lane(self, name: str) -> Lane:
        """The channels that enter the named convolution."""
        return self._entering.get(name, ())

    def columns(self, lane: Lane, kept: Mapping[int, np.ndarray]) -> np.ndarray:
        """Which of a lane's channels are left when of each space only ``kept`` are; spaces not in it stay whole."""
        start, left = 0, []
        for segment in lane:
            chosen = kept.get(self.of(segment.space), np.arange(segment.width))
            left.append(start + chosen)
            start += segment.width
        return np.concatenate(left)

    def _visit(self, node: ov.Node) -> None:
        kind, name = node.get_type_name(), node.get_friendly_name()
        lanes = [self.lanes.get(feeding.get_friendly_name(), ()) for feeding in _feeding(node)]
        if kind == "Convolution":
            self._entering[name] = lanes[0]
            self._mix(name, node, lanes[0])
            self.lanes[name] = (self._new(int(node.get_output_shape(0)[1]), name),)
        elif kind == "GroupConvolution" and node.input_value(1).get_shape()[1:3] == [1, 1]:
            self._keep(name, lanes[0])
            self.lanes[name] = lanes[0]
        elif kind == "Concat" and len(node.get_output_shape(0)) == 4 and node.get_attributes()["axis"] in (1, -3):
            self.lanes[name] = tuple(segment for lane in lanes for segment in lane) if all(lanes) else ()
            if not all(lanes):
                self._fix(lanes)
        elif kind in _TYING and self._tie(node, [lane for lane in lanes if lane]):
            self.lanes[name] = next(lane for lane in lanes if lane)
        elif kind in _KEEPING and lanes and lanes[0]:
            self.lanes[name] = lanes[0]
        else:
            self._fix(lanes)

    def _new(self, width: int, maker: str) -> Segment:
        self._spaces.append(Space(width, [maker]))
        self._same.append(len(self._spaces) - 1)
        return Segment(len(self._spaces) - 1, width)

    def _mix(self, name: str, node: ov.Node, lane: Lane) -> None:
        pointwise = list(node.input_value(1).get_shape()[2:]) == [1, 1]
        for segment in lane:
            space = self._spaces[self.of(segment.space)]
            space.mixers.append(name)
            space.fixed |= not pointwise

    def _keep(self, name: str, lane: Lane) -> None:
        for segment in lane:
            self._spaces[self.of(segment.space)].keepers.append(name)

    def _tie(self, node: ov.Node, lanes: list[Lane]) -> bool:
        """Tie the lanes' spaces one to one; False where they don't match."""
        if not lanes or any(len(lane) != len(lanes[0]) for lane in lanes):
            return False
        for lane in lanes[1:]:
            for first, second in zip(lanes[0], lane, strict=True):
                if first.width != second.width:
                    return False
                self._unite(self.of(first.space), self.of(second.space))
        return True

    def _unite(self, first: int, second: int) -> None:
        if first == second:
            return
        into, gone = self._spaces[first], self._spaces[second]
        self._same[second] = first
        into.makers += gone.makers
        into.keepers += gone.keepers
        into.mixers += gone.mixers
        into.fixed |= gone.fixed

    def _fix(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            for segment in lane:
                self._spaces[self.of(segment.space)].fixed = True


def _feeding(node: ov.Node) -> list[ov.Node]:
    """The nodes that feed it, but for constants."""
    nodes = (value.get_node() for value in node.input_values())
    return [feeding for feeding in nodes if feeding.get_type_name() != "Constant"]


def keep(model: ov.Model, chart: Map, kept: Mapping[int, np.ndarray]) -> None:
    """Take all channels out, in place, but for those ``kept`` of each space (sorted positions, by space)."""
    for node, position, axis, lane in _tables(model, chart):
        constant = node.input_value(position).get_node()
        left = constant.get_data().take(chart.columns(lane, kept), axis=axis)
        node.input(position).replace_source_output(ops.constant(np.ascontiguousarray(left)).output(0))
    model.validate_nodes_and_infer_types()


def _tables(model: ov.Model, chart: Map) -> Iterator[tuple[ov.Node, int, int, Lane]]:
    """The constants that have a place for each channel: consumer, its port, the constant's axis, the lane."""
    for node in model.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        if kind == "Convolution":
            if lane := chart.input_lane(name):
                yield node, 1, 1, lane
            yield node, 1, 0, chart.lanes[name]
        elif kind == "GroupConvolution" and chart.lanes.get(name):
            yield node, 1, 0, chart.lanes[name]
        elif kind in _TYING and chart.lanes.get(name):
            yield from _per_channel(node, chart.lanes[name])


def _per_channel(node: ov.Node, lane: Lane) -> Iterator[tuple[ov.Node, int, int, Lane]]:
    width = sum(segment.width for segment in lane)
    for position, value in enumerate(node.input_values()):
        shape = list(value.get_shape())
        if value.get_node().get_type_name() == "Constant" and len(shape) >= 3 and shape[-3] == width and width > 1:
            yield node, position, len(shape) - 3, lane
