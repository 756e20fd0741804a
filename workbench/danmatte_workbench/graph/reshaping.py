"""Another input size for a graph that was exported at a fixed one.

Convolutions follow by themselves. What doesn't: targets of resizes, the kernels of global poolings and the noted
grid. A resize follows the feature map whose size it aims at; whatever else holds a size is refused by name.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery

Size: TypeAlias = tuple[int, int]  # height, width
_STRIDE = 32  # a side that it divides, or all but one pixel, suits every network
_MAPS = frozenset({"Convolution", "GroupConvolution", "MaxPool", "AvgPool"})  # channels come first in these
_GLOBAL: dict[str, Callable[..., ov.Node]] = {"AvgPool": ops.reduce_mean, "MaxPool": ops.reduce_max}


def input_size(model: ov.Model) -> Size:
    """Height and width of the pictures that the graph takes. Raises InputError where it takes none, or any size."""
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.rank.is_dynamic or len(shape) != 4:
        raise InputError(
            f"expected one input of shape (1, H, W, 3), found {[str(i.partial_shape) for i in model.inputs]}"
        )
    axes = _picture_axes(shape)
    if any(shape[axis].is_dynamic for axis in axes):
        raise InputError(f"expected an input of fixed size, found {shape}")
    return shape[axes[0]].get_length(), shape[axes[1]].get_length()


def part_of(size: Size, share: float) -> Size:
    """About a ``share`` of both sides, such that strides divide them as evenly: 0.8 of 513 is 417, of 512 is 416."""
    height, width = (max(1, round(side * share / _STRIDE)) * _STRIDE + side % 2 for side in size)
    return height, width


def reshape(model: ov.Model, size: Size) -> Size:
    """Make the graph take pictures of ``size``, in place; return the size before.

    Raises InputError that names the node where the graph can't follow.
    """
    before = input_size(model)
    answers = [_shape(port) for port in model.outputs]
    grid = surgery.read_grid(model)
    _free_global_pools(model)
    _follow(model, before, size)
    _check_answers(model, answers)
    if grid is not None:
        shapes = [answers[0], _shape(model.output(0))]
        old, new = ((shape[1], shape[2]) for shape in shapes)
        surgery.note_grid(model, surgery.moved_grid(grid, (before, old), (size, new)))
    return before


def _picture_axes(shape: ov.PartialShape) -> tuple[int, int]:
    return (2, 3) if shape[1] == 3 and shape[3] != 3 else (1, 2)


def _shape(port: ov.Output) -> tuple[int, ...]:
    shape = port.get_partial_shape()
    return tuple(dimension.get_length() if dimension.is_static else -1 for dimension in shape)


def _free_global_pools(model: ov.Model) -> None:
    """A pooling of its whole input to one place is a mean, or a maximum, of whatever size there will be."""
    for node in model.get_ordered_ops():
        reduce = _GLOBAL.get(node.get_type_name())
        if reduce is None or _shape(node.output(0))[2:] != (1, 1):
            continue
        attributes = node.get_attributes()
        whole = tuple(attributes["kernel"]) == _shape(node.input_value(0).get_node().output(0))[2:]
        padded = any((*attributes["pads_begin"], *attributes["pads_end"]))
        if not whole or padded or any(_used(port) for port in node.outputs()[1:]):
            continue
        pooled = reduce(node.input_value(0), np.array([2, 3]), keep_dims=True)
        pooled.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(pooled.output(0))


def _used(port: ov.Output) -> bool:
    return bool(port.get_target_inputs())


def _follow(model: ov.Model, before: Size, size: Size) -> None:
    """Infer shapes anew, node by node from the input on; resizes aim at what has become of the maps they aimed at."""
    parameter = model.get_parameters()[0]
    shape = parameter.get_partial_shape()
    became: dict[Size, set[Size]] = {before: {size}}
    nodes = model.get_ordered_ops()
    were = [_map_size(node) for node in nodes]
    rows, columns = _picture_axes(shape)
    shape[rows], shape[columns] = size
    parameter.set_partial_shape(shape)
    for node, was in zip(nodes, were, strict=True):
        if node.get_type_name() == "Interpolate":
            _aim(node, became)
        with _named(node):
            node.validate_and_infer_types()
        now = _map_size(node)
        if was is not None and now is not None:
            became.setdefault(was, set()).add(now)
    model.validate_nodes_and_infer_types()


def _map_size(node: ov.Node) -> Size | None:
    if node.get_type_name() not in _MAPS:
        return None
    shape = _shape(node.output(0))
    return (shape[2], shape[3]) if len(shape) == 4 else None


def _aim(node: ov.Node, became: dict[Size, set[Size]]) -> None:
    """Give the resize the size that its target has now. Targets that are computed follow by themselves."""
    target = node.input_value(1).get_node()
    if target.get_type_name() != "Constant" or node.get_attributes().get("shape_calculation_mode") == "scales":
        return
    old = tuple(int(side) for side in target.get_data().reshape(-1))
    known = became.get(old[-2:] if len(old) == 2 else _inner(node, old), set())
    if len(known) != 1:
        found = " or ".join(_times(size) for size in sorted(known)) or "nothing that follows the input"
        raise InputError(
            f"Interpolate {node.get_friendly_name()} aims at {'×'.join(map(str, old))}, the size of {found}; "
            "it can't follow another input size"
        )
    (new,) = known
    data = target.get_data().copy()
    data.reshape(-1)[_places(node, len(old))] = new
    node.input(1).replace_source_output(ops.constant(data).output(0))


def _inner(node: ov.Node, old: tuple[int, ...]) -> Size:
    places = _places(node, len(old))
    return old[places[0]], old[places[1]]


def _places(node: ov.Node, count: int) -> list[int]:
    """Where height and width stand among a resize's ``count`` targets."""
    if count == 2:
        return [0, 1]
    channels_last = _shape(node.input_value(0).get_node().output(0))[-1] == _shape(node.output(0))[-1]
    return [1, 2] if channels_last and count == 4 else [count - 2, count - 1]


def _times(size: Iterable[int]) -> str:
    return "×".join(str(side) for side in size)


@contextmanager
def _named(node: ov.Node) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        name = f"{node.get_type_name()} {node.get_friendly_name()}"
        raise InputError(f"{name} was made for one input size and can't follow: {lines[-1]}") from error


def _check_answers(model: ov.Model, before: list[tuple[int, ...]]) -> None:
    """Batch and channels stay; only places may have become fewer or more."""
    for port, old in zip(model.outputs, before, strict=True):
        new = _shape(port)
        kept = sum(a == b for a, b in zip(old, new, strict=False))
        if len(new) != len(old) or kept < len(old) - 2:
            name = port.get_node().input_value(0).get_node().get_friendly_name()
            raise InputError(f"the answer of {name} would be {new} instead of {old}; the graph can't be reshaped")
