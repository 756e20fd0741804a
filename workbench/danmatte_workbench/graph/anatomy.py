"""The structure of a vision graph, read by TensorFlow or OpenVINO: input, first convolution, decision and outputs."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import openvino as ov

CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Convolution", "GroupConvolution"})
DECISIONS = frozenset({"ArgMax", "TopK"})
_PASSING = frozenset({"Identity", "Transpose", "Result"})  # don't change values
_PADDING = frozenset({"Pad", "PadV2", "MirrorPad"})
# Nodes that feed no other node but aren't outputs: loop exits, checks, and assignments and savers of variables.
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
    """A node, and the names of the nodes that feed it, in the order of its input ports."""

    name: str
    kind: str
    feeding: tuple[str, ...]


@dataclass(frozen=True)
class Anatomy:
    """The nodes of a graph, in topological order or in the order of the file."""

    nodes: tuple[Node, ...]

    @classmethod
    def from_tensorflow(cls, path: Path) -> Self:
        """Return the anatomy of the TensorFlow graph at ``path``, without control inputs."""
        from danmatte_workbench.runtimes import tensorflow

        return cls(tuple(Node(*node) for node in tensorflow.read_nodes(path)))

    @classmethod
    def from_openvino(cls, model: "ov.Model") -> Self:
        """Return the anatomy of an OpenVINO graph, by friendly names."""
        nodes = []
        for op in model.get_ordered_ops():
            feeding = tuple(value.get_node().get_friendly_name() for value in op.input_values())
            nodes.append(Node(op.get_friendly_name(), op.get_type_name(), feeding))
        return cls(tuple(nodes))

    def find_kinds(self, kinds: Iterable[str]) -> tuple[Node, ...]:
        """Return the nodes of these kinds, in order."""
        wanted = frozenset(kinds)
        return tuple(node for node in self.nodes if node.kind in wanted)

    def index_readers(self) -> dict[str, list[Node]]:
        """Return, by node name, the nodes that it feeds."""
        readers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.feeding:
                readers.setdefault(name, []).append(node)
        return readers

    def find_ends(self) -> tuple[str, ...]:
        """Return the names of nodes that feed no other node and may be outputs."""
        used = {name for node in self.nodes for name in node.feeding}
        return tuple(node.name for node in self.nodes if node.name not in used and node.kind not in _NO_ANSWERS)

    def find_reachable(self, start: str) -> set[str]:
        """Return the names of all nodes reachable from ``start``, including itself."""
        readers = self.index_readers()
        queue, seen = deque([start]), {start}
        while queue:
            for node in readers.get(queue.popleft(), []):
                if node.name not in seen:
                    seen.add(node.name)
                    queue.append(node.name)
        return seen

    def find_first_convolution(self, picture: str) -> str | None:
        """Return the input port (``0:node``) of the first convolution after the picture, or of its padding node.

        A cut before the padding keeps the padding in the graph, so that OpenVINO folds it into the convolution.
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
        """Return the node that feeds the input port ``0:node``, skipping transposes.

        Raises KeyError for an unknown node.
        """
        names = {node.name: node for node in self.nodes}
        number, _, name = port.partition(":")
        feeder = names[names[name].feeding[int(number)]]
        while feeder.kind in _PASSING and feeder.feeding:
            feeder = names[feeder.feeding[0]]
        return feeder.name

    def find_decision(self) -> str | None:
        """Return the choice among classes: the last such node that no convolution follows. None if there is none."""
        for node in reversed(self.find_kinds(DECISIONS)):
            after = self.find_reachable(node.name)
            if not any(later.kind in CONVOLUTIONS for later in self.nodes if later.name in after):
                return node.name
        return None
