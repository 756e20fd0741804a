"""Early blocks of a graph made anew: dense convolutions where an expansion and a depthwise convolution were.

At high resolution an inverted residual block (Sandler et al., CVPR 2018) moves far more bytes than it multiplies. One
dense convolution of few channels does its work in one pass (Tan, Le: "EfficientNetV2", ICML 2021: "Fused-MBConv"). It
starts with random kernels: what it is to compute, the block that it stands for can tell, place by place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError

_ACTIVATIONS = frozenset({"Clamp", "Relu"})
_DECIDING = _ACTIVATIONS | {"Result", "Sigmoid", "Transpose"}
_CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})
_GEOMETRY = ("strides", "pads_begin", "pads_end", "dilations")


@dataclass(frozen=True)
class Layer:
    """A convolution, its bias, and the activation behind it; None where there is none."""

    convolution: ov.Node
    bias: ov.Node
    activation: ov.Node | None

    @property
    def last(self) -> ov.Node:
        """What others read."""
        return self.bias if self.activation is None else self.activation

    @property
    def strided(self) -> bool:
        """Whether its map is smaller than what enters."""
        return list(self.convolution.get_attributes()["strides"]) != [1, 1]

    @property
    def pointwise(self) -> bool:
        """Whether it mixes channels of single places."""
        shape = list(self.convolution.input_value(1).get_shape())
        return self.convolution.get_type_name() == "Convolution" and shape[2:] == [1, 1]


@dataclass(frozen=True)
class Block:
    """Layers up to a pointwise one without an activation; ``end`` is that one's bias, or the residual sum behind it."""

    layers: tuple[Layer, ...]
    end: ov.Node


@dataclass(frozen=True)
class Pair:
    """A node of a graph, and the one of its teacher whose values it is to have, at every ``step``-th place."""

    mine: str
    right: str
    step: int = 1


def fuse(model: ov.Model, stem: Sequence[int], blocks: Sequence[int], seed: int) -> tuple[Pair, ...]:
    """Put dense convolutions of random kernels where the first blocks are, in place; return what each end stands for.

    ``stem`` are the channels of the two strided convolutions that bring the picture to a quarter of its size, and
    ``blocks`` those of the one that each block after them gets. Raises InputError where the graph doesn't begin so.
    """
    found = list(_blocks(model))
    begun = next((count for count in range(1, len(found) + 1) if len(_strided(found[:count])) == len(stem)), 0)
    if not begun or len(found) < begun + len(blocks):
        wanted = f"a stem of {len(stem)} strides and {len(blocks)} blocks after it"
        raise InputError(f"expected {wanted}, of depthwise and pointwise convolutions; found {len(found)} blocks")
    rng = np.random.default_rng(seed)
    layers = [layer for block in found[:begun] for layer in block.layers]
    pairs = [_replace(found[begun - 1].end, layers, _strided(found[:begun]), stem, rng, "fused/stem")]
    for number, (block, width) in enumerate(zip(found[begun:], blocks, strict=False)):
        spatial = [layer for layer in block.layers if not layer.pointwise]
        pairs.append(_replace(block.end, block.layers, spatial, [width], rng, f"fused/{number}"))
    model.validate_nodes_and_infer_types()
    return tuple(pairs)


def part(model: ov.Model, names: Sequence[str]) -> ov.Model:
    """What leads to the named nodes, which are the outputs then, in this order; shares the graph's nodes."""
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    return ov.Model([ops.result(nodes[name].output(0)) for name in names], model.get_parameters(), "part")


def ends(model: ov.Model) -> list[ov.Node]:
    """The ends of a graph's linear blocks, in order: sums and biases that no activation and no answer follows.

    Where two graphs were made from one, these are what both compute, whatever lies in between.
    """
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Add"
        and len(node.get_output_shape(0)) == 4
        and node.get_output_shape(0)[2] > 1
        and not any(reader.get_type_name() in _DECIDING for reader in _readers(node))
        and not _summed(node)
    ]


def alike(model: ov.Model, teacher: ov.Model) -> tuple[Pair, ...]:
    """The ends of blocks that both graphs have, counted from the last, with the same channels.

    A graph of a larger stride has some of the teacher's places: those of whole steps from corner to corner.
    """
    pairs = []
    for mine, right in zip(reversed(ends(model)), reversed(ends(teacher)), strict=False):
        few, many = list(mine.get_output_shape(0)), list(right.get_output_shape(0))
        step = (many[2] - 1) // max(1, few[2] - 1)
        if few[1] == many[1] and all(
            (side - 1) * step == whole - 1 for side, whole in zip(few[2:], many[2:], strict=True)
        ):
            pairs.append(Pair(mine.get_friendly_name(), right.get_friendly_name(), step))
    return tuple(reversed(pairs))


def _summed(node: ov.Node) -> bool:
    readers = _readers(node)
    return len(readers) == 1 and readers[0].get_type_name() == "Add"


def _readers(node: ov.Node) -> list[ov.Node]:
    return [port.get_node() for port in node.output(0).get_target_inputs()]


def _blocks(model: ov.Model) -> Iterator[Block]:
    """The blocks one after another from the first convolution on, as far as there are any."""
    node = next((node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"), None)
    layers: list[Layer] = []
    while node is not None and (layer := _layer(node)) is not None:
        layers.append(layer)
        readers = _readers(layer.last)
        if layer.activation is None:
            if not layer.pointwise or not any(
                item.convolution.get_type_name() == "GroupConvolution" for item in layers
            ):
                return
            end = readers[0] if _summed(layer.bias) else layer.bias
            yield Block(tuple(layers), end)
            layers, readers = [], [reader for reader in _readers(end) if _expands(reader)]
        node = readers[0] if len(readers) == 1 and readers[0].get_type_name() in _CONVOLUTIONS else None


def _expands(node: ov.Node) -> bool:
    """Whether the node is the first of a block: a convolution, activated, with a depthwise one behind it."""
    layer = _layer(node) if node.get_type_name() in _CONVOLUTIONS else None
    if layer is None or layer.activation is None:
        return False
    return [reader.get_type_name() for reader in _readers(layer.activation)] == ["GroupConvolution"]


def _layer(convolution: ov.Node) -> Layer | None:
    readers = _readers(convolution)
    if len(readers) != 1 or readers[0].get_type_name() != "Add":
        return None
    bias = readers[0]
    if bias.input_value(1).get_node().get_type_name() != "Constant":
        return None
    after = _readers(bias)
    activated = len(after) == 1 and after[0].get_type_name() in _ACTIVATIONS
    return Layer(convolution, bias, after[0] if activated else None)


def _strided(blocks: Sequence[Block]) -> list[Layer]:
    return [layer for block in blocks for layer in block.layers if layer.strided]


def _replace(
    end: ov.Node,
    layers: Sequence[Layer],
    like: Sequence[Layer],
    widths: Sequence[int],
    rng: np.random.Generator,
    name: str,
) -> Pair:
    """A dense convolution for each of ``like``, with its kernel's size and geometry, and one that projects."""
    value, last = layers[0].convolution.input_value(0), layers[-1].bias
    for number, (layer, width) in enumerate(zip(like, widths, strict=True)):
        value = _dense(value, layer, width, rng, f"{name}/{number}")
    projected = _dense(value, layers[-1], int(last.get_output_shape(0)[1]), rng, f"{name}/project")
    residual = end.get_friendly_name() != last.get_friendly_name()
    last.output(0).replace(projected)
    return Pair(end.get_friendly_name() if residual else f"{name}/project", end.get_friendly_name())


def _dense(value: ov.Output, like: Layer, width: int, rng: np.random.Generator, name: str) -> ov.Output:
    """A convolution of as many channels, kernels by He et al. (ICCV 2015); the bias has the name."""
    sides = list(like.convolution.input_value(1).get_shape())[-2:]
    inputs = int(value.get_shape()[1])
    kernel = rng.normal(0, np.sqrt(2 / (inputs * np.prod(sides))), (width, inputs, *sides)).astype(np.float32)
    attributes = like.convolution.get_attributes()
    made = ops.convolution(value, ops.constant(kernel), *(list(attributes[key]) for key in _GEOMETRY))
    biased = ops.add(made, ops.constant(np.zeros((1, width, 1, 1), np.float32)))
    made.set_friendly_name(f"{name}/convolution")
    biased.set_friendly_name(name)
    if like.activation is None:
        return biased.output(0)
    if like.activation.get_type_name() == "Relu":
        return ops.relu(biased).output(0)
    limits = like.activation.get_attributes()
    return ops.clamp(biased, float(limits["min"]), float(limits["max"])).output(0)
