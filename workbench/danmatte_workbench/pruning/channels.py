"""Groups of channels that can only be removed together, and their removal.

A convolution creates channels. Biases, activations, depthwise convolutions, resizes and pooling process them
separately. Additions tie the channels of both operands together, concatenations append them, and the next pointwise
convolutions mix them. Tied channels form a `ChannelSpace` and are removed together. Therefore residual streams can be
pruned like inner channels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import openvino as ov

from danmatte_workbench.graph.layers import is_constant, replace_constant

# Operations that process each channel separately and keep their number and order.
_KEEPING = frozenset(
    {"AvgPool", "Clamp", "Convert", "HSwish", "Interpolate", "MaxPool", "ReduceMean", "Relu", "Sigmoid", "Squeeze"}
    | {"Swish", "Unsqueeze"}
)
# Operations on two operands that need the same channels.
_TYING = frozenset({"Add", "Divide", "Maximum", "Multiply", "Subtract"})


@dataclass(frozen=True)
class ChannelRun:
    """All channels of one space, at consecutive positions in a tensor."""

    space: int
    width: int


Lane = tuple[ChannelRun, ...]  # a tensor's channels, in order; empty where they aren't known


@dataclass
class ChannelSpace:
    """Channels that are tied together: the names of the convolutions that create, keep and mix them.

    fixed: whether no channel may be removed, because some node needs all of them.
    """

    width: int
    makers: list[str] = field(default_factory=list)
    keepers: list[str] = field(default_factory=list)
    mixers: list[str] = field(default_factory=list)
    fixed: bool = False


class ChannelMap:
    """All spaces of a graph. ``lanes`` has the channels of each tensor, by the name of its node.

    Spaces are numbered in the order of their first convolution. When an addition ties two of them together, the second
    becomes an alias of the first, as in union-find: lanes keep the old number, and `resolve` follows it.
    """

    def __init__(self, model: ov.Model) -> None:
        self._spaces: list[ChannelSpace] = []
        self._alias_of: list[int] = []
        self.lanes: dict[str, Lane] = {}
        self._entering: dict[str, Lane] = {}
        for node in model.get_ordered_ops():
            if node.get_type_name() != "Constant":
                self._visit(node)

    def find_prunable(self) -> dict[int, ChannelSpace]:
        """Return the spaces that may lose channels, by number."""
        return {
            number: space
            for number, space in enumerate(self._spaces)
            if self.resolve(number) == number and not space.fixed and space.makers and space.mixers
        }

    def resolve(self, number: int) -> int:
        """Return the number of the space that this one is tied to; its own if there is none."""
        while self._alias_of[number] != number:
            number = self._alias_of[number]
        return number

    def list_makers(self) -> list[tuple[str, Lane]]:
        """Return the convolutions that create channels, each with these channels."""
        return [(name, self.lanes[name]) for name in self._entering]

    def get_input_lane(self, name: str) -> Lane:
        """Return the channels that enter the named convolution."""
        return self._entering.get(name, ())

    def select_columns(self, lane: Lane, kept: Mapping[int, np.ndarray]) -> np.ndarray:
        """Return the remaining positions in the lane if only ``kept`` remain of each space; other spaces stay whole."""
        start, left = 0, []
        for run in lane:
            left.append(start + kept.get(self.resolve(run.space), np.arange(run.width)))
            start += run.width
        return np.concatenate(left)

    def _visit(self, node: ov.Node) -> None:
        kind, name = node.get_type_name(), node.get_friendly_name()
        feeding = [value.get_node() for value in node.input_values() if not is_constant(value)]
        lanes = [self.lanes.get(feeder.get_friendly_name(), ()) for feeder in feeding]
        if kind == "Convolution" and len(feeding) == 1:  # computed kernels aren't supported
            self._entering[name] = lanes[0]
            is_pointwise = list(node.input_value(1).get_shape()[2:]) == [1, 1]
            for space in self._list_spaces(lanes[0]):
                space.mixers.append(name)
                # Only pointwise kernels are refitted, so channels that a larger kernel reads must stay.
                space.fixed |= not is_pointwise
            width = int(node.get_output_shape(0)[1])
            self._spaces.append(ChannelSpace(width, [name]))
            self._alias_of.append(len(self._spaces) - 1)
            self.lanes[name] = (ChannelRun(len(self._spaces) - 1, width),)
        elif kind == "GroupConvolution" and len(feeding) == 1 and node.input_value(1).get_shape()[1:3] == [1, 1]:
            for space in self._list_spaces(lanes[0]):
                space.keepers.append(name)
            self.lanes[name] = lanes[0]
        elif kind == "Concat" and len(node.get_output_shape(0)) == 4 and node.get_attributes()["axis"] in (1, -3):
            self.lanes[name] = tuple(run for lane in lanes for run in lane) if all(lanes) else ()
            if not all(lanes):
                self._fix(lanes)
        elif kind in _TYING and not self._meets_unknown(node) and self._tie([lane for lane in lanes if lane]):
            self._pass_on(next(lane for lane in lanes if lane), node)
        elif kind in _KEEPING and lanes and lanes[0]:
            self._pass_on(lanes[0], node)
        else:
            self._fix(lanes)

    def _meets_unknown(self, node: ov.Node) -> bool:
        """Return whether an operand with unknown channels is combined with others channel by channel.

        Then the others must all stay.
        """
        rank = len(node.get_output_shape(0))
        return any(
            not is_constant(value)
            and not self.lanes.get(value.get_node().get_friendly_name())
            and _find_channel_axis(list(value.get_shape()), rank) is not None
            for value in node.input_values()
        )

    def _pass_on(self, lane: Lane, node: ov.Node) -> None:
        """Record that the node outputs the lane's channels.

        A node with another number of channels, such as a mean over channels, needs all of them, so the lane is fixed.
        """
        if list(node.get_output_shape(0))[1:2] == [sum(run.width for run in lane)]:
            self.lanes[node.get_friendly_name()] = lane
        else:
            self._fix([lane])

    def _list_spaces(self, lane: Lane) -> list[ChannelSpace]:
        return [self._spaces[self.resolve(run.space)] for run in lane]

    def _tie(self, lanes: list[Lane]) -> bool:
        """Tie the lanes' spaces to each other one by one; return False if they don't match."""
        if not lanes or any(len(lane) != len(lanes[0]) for lane in lanes):
            return False
        for lane in lanes[1:]:
            for one, other in zip(lanes[0], lane, strict=True):
                if one.width != other.width:
                    return False
                first, second = self.resolve(one.space), self.resolve(other.space)
                if first != second:
                    into, gone = self._spaces[first], self._spaces[second]
                    self._alias_of[second] = first
                    into.makers += gone.makers
                    into.keepers += gone.keepers
                    into.mixers += gone.mixers
                    into.fixed |= gone.fixed
        return True

    def _fix(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            for space in self._list_spaces(lane):
                space.fixed = True


def keep_channels(model: ov.Model, channels: ChannelMap, kept: Mapping[int, np.ndarray]) -> None:
    """Remove all channels, in place, except those ``kept`` of each space (sorted positions, by space)."""
    for node, port, axis, lane in _find_tables(model, channels):
        values = node.input_value(port).get_node().get_data()
        replace_constant(node, values.take(channels.select_columns(lane, kept), axis=axis), port)
    model.validate_nodes_and_infer_types()


def _find_tables(model: ov.Model, channels: ChannelMap) -> Iterator[tuple[ov.Node, int, int, Lane]]:
    """Yield the constants that have an entry per channel: the reading node, its port, the axis, and the lane."""
    for node in model.get_ordered_ops():
        kind, name = node.get_type_name(), node.get_friendly_name()
        lane = channels.lanes.get(name, ())
        if kind == "Convolution":
            if entering := channels.get_input_lane(name):
                yield node, 1, 1, entering
            yield node, 1, 0, lane
        elif kind == "GroupConvolution" and lane:
            yield node, 1, 0, lane
        elif kind in _TYING and lane:
            rank = len(node.get_output_shape(0))
            for port, value in enumerate(node.input_values()):
                axis = _find_channel_axis(list(value.get_shape()), rank)
                if is_constant(value) and axis is not None:
                    yield node, port, axis, lane


def _find_channel_axis(shape: list[int], rank: int) -> int | None:
    """Return the axis of a value of this shape that is broadcast to the axis of channels, the second of ``rank`` axes.

    Returns None if it has one number for all channels, as a scale may.
    """
    axis = len(shape) - (rank - 1)
    return axis if axis >= 0 and shape[axis] > 1 else None
