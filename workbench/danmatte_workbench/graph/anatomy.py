"""What the nodes of a vision graph say about it, whichever library has read them."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

PICTURES = frozenset({"Placeholder", "Parameter"})
CONVOLUTIONS = frozenset({"Conv2D", "DepthwiseConv2dNative", "Convolution", "GroupConvolution"})
DECISIONS = frozenset({"ArgMax", "TopK"})
_PASSING = frozenset({"Identity", "Transpose", "Result"})  # gives what it was given
_PADDING = frozenset({"Pad", "PadV2", "MirrorPad"})
_NO_ANSWERS = frozenset({"Const", "Constant", "Assert", "NoOp", "Placeholder", "Parameter"})


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

    def __getitem__(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)

    def of_kind(self, kinds: Iterable[str]) -> tuple[Node, ...]:
        """The nodes of these kinds, in order."""
        wanted = frozenset(kinds)
        return tuple(node for node in self.nodes if node.kind in wanted)

    def consumers(self) -> dict[str, list[Node]]:
        """By name, the nodes that a node feeds."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.feeding:
                found.setdefault(name, []).append(node)
        return found

    def ends(self) -> tuple[str, ...]:
        """Names of the nodes that feed no other and might be an answer."""
        used = {name for node in self.nodes for name in node.feeding}
        return tuple(node.name for node in self.nodes if node.name not in used and node.kind not in _NO_ANSWERS)

    def behind(self, start: str) -> set[str]:
        """Names of all nodes that ``start`` reaches, itself among them."""
        consumers = self.consumers()
        queue, seen = deque([start]), {start}
        while queue:
            for node in consumers.get(queue.popleft(), []):
                if node.name not in seen:
                    seen.add(node.name)
                    queue.append(node.name)
        return seen

    def first_convolution(self, picture: str) -> str | None:
        """The input port (``0:node``) of the first convolution that the picture reaches, or of the padding for it."""
        consumers = self.consumers()
        queue, seen = deque([picture]), {picture}
        while queue:
            for node in consumers.get(queue.popleft(), []):
                if node.kind in CONVOLUTIONS:
                    return f"0:{self._padding_of(node).name}"
                if node.name not in seen:
                    seen.add(node.name)
                    queue.append(node.name)
        return None

    def _padding_of(self, convolution: Node) -> Node:
        names = {node.name: node for node in self.nodes}
        before = names.get(convolution.feeding[0])
        return before if before and before.kind in _PADDING else convolution

    def feeder(self, port: str) -> str:
        """What feeds the input port ``0:node``, seen through transposes. Raises KeyError for an unknown node."""
        names = {node.name: node for node in self.nodes}
        number, _, name = port.partition(":")
        found = names[names[name].feeding[int(number)]]
        while found.kind in _PASSING and found.feeding:
            found = names[found.feeding[0]]
        return found.name

    def decision(self) -> str | None:
        """The choice among classes: the one behind which nothing is convolved any more."""
        for node in reversed(self.of_kind(DECISIONS)):
            after = self.behind(node.name)
            if not any(later.kind in CONVOLUTIONS for later in self.nodes if later.name in after):
                return node.name
        return None
