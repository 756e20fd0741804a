"""The structure of a vision graph, whichever library has read it: its picture, first convolution, decision and ends."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import openvino as ov

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Convolution", "GroupConvolution"})
DECISIONS = frozenset({"ArgMax", "TopK"})
_PASSING = frozenset({"Identity", "Transpose", "Result"})  # gives what it was given
_PADDING = frozenset({"Pad", "PadV2", "MirrorPad"})
# What feeds no other node, and yet no answer: counters that leave a loop, checks, variables that are set and saved.
_NO_ANSWERS = frozenset(
    {
        "Assert",
        "Assign",
        "AssignVariableOp",
        "Const",
        "Constant",
        "Exit",
        "NextIteration",
        "NoOp",
        "Parameter",
        "Placeholder",
        "PlaceholderWithDefault",
        "PrintV2",
        "RefExit",
        "RestoreV2",
        "SaveV2",
        "Switch",
    }
)


@dataclass(frozen=True)
class Node:
    """A node and, by name and in the order of its input ports, the nodes that feed it."""

    name: str
    kind: str
    feeding: tuple[str, ...]


@dataclass(frozen=True)
class Anatomy:
    """The nodes of a graph, those that feed before those that are fed or in the file's own order."""

    nodes: tuple[Node, ...]

    @classmethod
    def from_tensorflow(cls, path: Path) -> Self:
        """The anatomy of the TensorFlow graph at ``path``, without control inputs."""
        from danmatte_workbench.runtimes import tensorflow

        return cls(tuple(Node(*node) for node in tensorflow.read_nodes(path)))

    @classmethod
    def from_openvino(cls, model: "ov.Model") -> Self:
        """The anatomy of an OpenVINO graph, by friendly names."""
        nodes = []
        for op in model.get_ordered_ops():
            feeding = tuple(value.get_node().get_friendly_name() for value in op.input_values())
            nodes.append(Node(op.get_friendly_name(), op.get_type_name(), feeding))
        return cls(tuple(nodes))

    def find_kinds(self, kinds: Iterable[str]) -> tuple[Node, ...]:
        """The nodes of these kinds, in order."""
        wanted = frozenset(kinds)
        return tuple(node for node in self.nodes if node.kind in wanted)

    def index_readers(self) -> dict[str, list[Node]]:
        """By name, the nodes that a node feeds."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.feeding:
                readers.setdefault(name, []).append(node)
        return readers

    def find_ends(self) -> tuple[str, ...]:
        """Names of the nodes that feed no other and might be an answer."""
        used = {name for node in self.nodes for name in node.feeding}
        return tuple(node.name for node in self.nodes if node.name not in used and node.kind not in _NO_ANSWERS)

    def find_reachable(self, start: str) -> set[str]:
        """Names of all nodes that ``start`` reaches, itself among them."""
        readers = self.index_readers()
        queue, seen = deque([start]), {start}
        while queue:
            for node in readers.get(queue.popleft(), []):
                if node.name not in seen:
                    seen.add(node.name)
                    queue.append(node.name)
        return seen

    def find_first_convolution(self, picture: str) -> str | None:
        """The input port (``0:node``) of the first convolution that the picture reaches, or of the padding for it.

        A cut before the padding keeps it inside, where OpenVINO folds it into the convolution.
        """
        names = {node.name: node for node in self.nodes}
        readers = self.index_readers()
        queue, seen = deque([picture]), {picture}
        while queue:
            for node in readers.get(queue.popleft(), []):
                if node.kind in CONVOLUTIONS:
                    before = names.get(node.feeding[0])
                    return f"0:{(before if before and before.kind in _PADDING else node).name}"
                if node.name not in seen:
                    seen.add(node.name)
                    queue.append(node.name)
        return None

    def find_feeder(self, port: str) -> str:
        """What feeds the input port ``0:node``, seen through transposes. Raises KeyError for an unknown node."""
        names = {node.name: node for node in self.nodes}
        number, _, name = port.partition(":")
        feeder = names[names[name].feeding[int(number)]]
        while feeder.kind in _PASSING and feeder.feeding:
            feeder = names[feeder.feeding[0]]
        return feeder.name

    def find_decision(self) -> str | None:
        """The choice among classes: the last one behind which nothing is convolved any more."""
        for node in reversed(self.find_kinds(DECISIONS)):
            after = self.find_reachable(node.name)
            if not any(later.kind in CONVOLUTIONS for later in self.nodes if later.name in after):
                return node.name
        return None
