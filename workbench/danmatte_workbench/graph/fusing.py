"""Replacement of a graph's early blocks by dense convolutions.

At high resolution, an inverted residual block (Sandler et al., CVPR 2018) is limited by memory bandwidth rather than
arithmetic. One dense convolution of few channels does the same work in one pass (Tan, Le: "EfficientNetV2", ICML 2021:
"Fused-MBConv"). Its kernels are initialised at random, and trained on the outputs of the block that it replaces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import (
    CONVOLUTIONS,
    extract,
    find_bias,
    find_only_reader,
    find_readers,
    index_by_name,
)

_ACTIVATIONS = frozenset({"Clamp", "Relu"})
_DECIDING = _ACTIVATIONS | {"Result", "Sigmoid", "Transpose"}
_GEOMETRY = ("strides", "pads_begin", "pads_end", "dilations")


@dataclass(frozen=True)
class ConvLayer:
    """A convolution, its bias, and the activation after it; None without an activation."""

    convolution: ov.Node
    bias: ov.Node
    activation: ov.Node | None

    @property
    def output(self) -> ov.Node:
        """The node that other layers read."""
        return self.bias if self.activation is None else self.activation

    @property
    def has_stride(self) -> bool:
        """Whether its output map is smaller than its input."""
        return list(self.convolution.get_attributes()["strides"]) != [1, 1]

    @property
    def is_pointwise(self) -> bool:
        """Whether it is a 1×1 convolution, which mixes the channels of each place."""
        shape = list(self.convolution.input_value(1).get_shape())
        return self.convolution.get_type_name() == "Convolution" and shape[2:] == [1, 1]


@dataclass(frozen=True)
class Block:
    """Layers up to a pointwise one without activation. ``end`` is that layer's bias, or the residual sum after it."""

    layers: tuple[ConvLayer, ...]
    end: ov.Node


@dataclass(frozen=True)
class FeaturePair:
    """A node of the student, and the node of the teacher whose values it should have.

    step: the student has every ``step``-th place of the teacher's map, in both directions.
    """

    student: str
    teacher: str
    step: int = 1


def fuse(model: ov.Model, stem: Sequence[int], blocks: Sequence[int], seed: int) -> tuple[FeaturePair, ...]:
    """Replace the first blocks by dense convolutions with random kernels, in place; return the pairs of nodes to train.

    stem: channels of the two strided convolutions that reduce the picture to a quarter of its size.
    blocks: channels of the dense convolution in each block after them.

    Raises InputError if the graph doesn't begin with such blocks.
    """

    def find_strided(some: Sequence[Block]) -> list[ConvLayer]:
        return [layer for block in some for layer in block.layers if layer.has_stride]

    found = list(_find_blocks(model))
    begun = next((count for count in range(1, len(found) + 1) if len(find_strided(found[:count])) == len(stem)), 0)
    if not begun or len(found) < begun + len(blocks):
        wanted = f"a stem of {len(stem)} strides and {len(blocks)} blocks after it"
        raise InputError(f"expected {wanted}, of depthwise and pointwise convolutions, found {len(found)} blocks")
    rng = np.random.default_rng(seed)
    layers = [layer for block in found[:begun] for layer in block.layers]
    pairs = [_replace_block(found[begun - 1].end, layers, find_strided(found[:begun]), stem, rng, "fused/stem")]
    for number, (block, width) in enumerate(zip(found[begun:], blocks, strict=False)):
        spatial = [layer for layer in block.layers if not layer.is_pointwise]
        pairs.append(_replace_block(block.end, block.layers, spatial, [width], rng, f"fused/{number}"))
    model.validate_nodes_and_infer_types()
    return tuple(pairs)


def extract_nodes(model: ov.Model, names: Sequence[str]) -> ov.Model:
    """Return the graph up to the named nodes, which become its outputs in this order; it shares the graph's nodes."""
    nodes = index_by_name(model)
    return extract(model, [nodes[name].output(0) for name in names])


def find_block_ends(model: ov.Model) -> list[ov.Node]:
    """Return the ends of a graph's linear blocks, in order: sums and biases that no activation and no output follows.

    Two graphs made from the same graph both compute these, whatever is between them.
    """
    return [
        node
        for node in model.get_ordered_ops()
        if node.get_type_name() == "Add"
        and len(node.get_output_shape(0)) == 4
        and node.get_output_shape(0)[2] > 1
        and not any(reader.get_type_name() in _DECIDING for reader in find_readers(node))
        and not _is_summand(node)
    ]


def pair_block_ends(student: ov.Model, teacher: ov.Model) -> tuple[FeaturePair, ...]:
    """Return the pairs of block ends with the same channels, counted from the last block.

    Names can't be used for this: saving renumbers them, so a pruned graph had hardly any pairs. A graph with a larger
    stride has some of the teacher's places, those at whole steps from corner to corner.
    """
    pairs = []
    for mine, right in zip(reversed(find_block_ends(student)), reversed(find_block_ends(teacher)), strict=False):
        few, many = list(mine.get_output_shape(0)), list(right.get_output_shape(0))
        step = (many[2] - 1) // max(1, few[2] - 1)
        if few[1] == many[1] and all(
            (side - 1) * step == whole - 1 for side, whole in zip(few[2:], many[2:], strict=True)
        ):
            pairs.append(FeaturePair(mine.get_friendly_name(), right.get_friendly_name(), step))
    return tuple(reversed(pairs))


def _is_summand(node: ov.Node) -> bool:
    """Return whether its only reader is another sum; then that sum is the block's end."""
    reader = find_only_reader(node)
    return reader is not None and reader.get_type_name() == "Add"


def _find_blocks(model: ov.Model) -> Iterator[Block]:
    """Yield the consecutive blocks from the first convolution on."""
    node = next((node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"), None)
    layers: list[ConvLayer] = []
    while node is not None and (layer := _read_layer(node)) is not None:
        layers.append(layer)
        readers = find_readers(layer.output)
        if layer.activation is None:
            depthwise = any(item.convolution.get_type_name() == "GroupConvolution" for item in layers)
            if not layer.is_pointwise or not depthwise:
                return
            end = readers[0] if _is_summand(layer.bias) else layer.bias
            yield Block(tuple(layers), end)
            layers, readers = [], [reader for reader in find_readers(end) if _begins_block(reader)]
        node = readers[0] if len(readers) == 1 and readers[0].get_type_name() in CONVOLUTIONS else None


def _begins_block(node: ov.Node) -> bool:
    """Return whether the node starts a block: a convolution with activation, followed by a depthwise convolution."""
    layer = _read_layer(node) if node.get_type_name() in CONVOLUTIONS else None
    if layer is None or layer.activation is None:
        return False
    return [reader.get_type_name() for reader in find_readers(layer.activation)] == ["GroupConvolution"]


def _read_layer(convolution: ov.Node) -> ConvLayer | None:
    bias = find_bias(convolution)
    if bias is None:
        return None
    after = find_only_reader(bias)
    is_activated = after is not None and after.get_type_name() in _ACTIVATIONS
    return ConvLayer(convolution, bias, after if is_activated else None)


def _replace_block(
    end: ov.Node,
    layers: Sequence[ConvLayer],
    like: Sequence[ConvLayer],
    widths: Sequence[int],
    rng: np.random.Generator,
    name: str,
) -> FeaturePair:
    """Replace the layers by dense convolutions and a projection.

    There is one dense convolution for each of ``like``, with its kernel size and geometry.
    """
    value, last = layers[0].convolution.input_value(0), layers[-1].bias
    for number, (layer, width) in enumerate(zip(like, widths, strict=True)):
        value = _make_dense(value, layer, width, rng, f"{name}/{number}")
    projection = _make_dense(value, layers[-1], int(last.get_output_shape(0)[1]), rng, f"{name}/project")
    is_residual = end.get_friendly_name() != last.get_friendly_name()
    last.output(0).replace(projection)
    return FeaturePair(end.get_friendly_name() if is_residual else f"{name}/project", end.get_friendly_name())


def _make_dense(value: ov.Output, like: ConvLayer, width: int, rng: np.random.Generator, name: str) -> ov.Output:
    """Return a convolution of ``width`` channels, initialised by He et al. (ICCV 2015); its bias node gets the name."""
    sides = list(like.convolution.input_value(1).get_shape())[-2:]
    inputs = int(value.get_shape()[1])
    kernel = rng.normal(0, np.sqrt(2 / (inputs * np.prod(sides))), (width, inputs, *sides)).astype(np.float32)
    attributes = like.convolution.get_attributes()
    convolution = ops.convolution(value, ops.constant(kernel), *(list(attributes[key]) for key in _GEOMETRY))
    bias = ops.add(convolution, ops.constant(np.zeros((1, width, 1, 1), np.float32)))
    convolution.set_friendly_name(f"{name}/convolution")
    bias.set_friendly_name(name)
    if like.activation is None:
        return bias.output(0)
    if like.activation.get_type_name() == "Relu":
        return ops.relu(bias).output(0)
    limits = like.activation.get_attributes()
    return ops.clamp(bias, float(limits["min"]), float(limits["max"])).output(0)
