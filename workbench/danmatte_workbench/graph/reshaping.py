"""Another input size for a graph that was exported at a fixed one.

OpenVINO adapts convolutions itself. The targets of resizes, the kernels of global poolings and the stored grid are
adapted here. A resize is set to the new size of the feature map whose old size it has. Other nodes that contain a size
cause an error that names them.
"""

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import is_constant
from danmatte_workbench.graph.surgery import move_grid, read_grid, write_grid
from danmatte_workbench.runtimes.causes import explain
from danmatte_workbench.runtimes.openvino import to_shape

Size: TypeAlias = tuple[int, int]  # height, width
_STRIDE = 32  # sides of a multiple of it, or of a multiple plus one, suit every network
_MAPS = frozenset({"Convolution", "GroupConvolution", "MaxPool", "AvgPool"})  # channels come first in these
_GLOBAL: dict[str, Callable[..., ov.Node]] = {"AvgPool": ops.reduce_mean, "MaxPool": ops.reduce_max}


def read_input_size(model: ov.Model) -> Size:
    """Return height and width of the graph's input. Raises InputError if it has no fixed size or no picture input."""
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.rank.is_dynamic or len(shape) != 4:
        raise InputError(
            f"expected one input of shape (1, H, W, 3), found {[str(i.partial_shape) for i in model.inputs]}"
        )
    axes = _find_picture_axes(shape)
    if any(shape[axis].is_dynamic for axis in axes):
        raise InputError(f"expected an input of fixed size, found {shape}")
    return shape[axes[0]].get_length(), shape[axes[1]].get_length()


def scale_size(size: Size, share: float) -> Size:
    """Return about a ``share`` of both sides, divisible by strides as before: 0.8 of 513 is 417, of 512 is 416."""
    height, width = (max(1, round(side * share / _STRIDE)) * _STRIDE + side % 2 for side in size)
    return height, width


def reshape(model: ov.Model, size: Size) -> Size:
    """Reshape the graph to pictures of ``size``, in place; return the previous size.

    Raises InputError that names the node if the graph can't be reshaped.
    """
    before = read_input_size(model)
    answers = [to_shape(port) for port in model.outputs]
    grid = read_grid(model)
    _free_global_pools(model)
    _infer_shapes(model, before, size)
    for port, old in zip(model.outputs, answers, strict=True):
        # Batch and channels must stay; only the numbers of rows and columns may change.
        new = to_shape(port)
        kept = sum(a == b for a, b in zip(old, new, strict=False))
        if len(new) != len(old) or kept < len(old) - 2:
            name = port.get_node().input_value(0).get_node().get_friendly_name()
            raise InputError(f"the output of {name} would be {new} instead of {old}; the graph can't be reshaped")
    if grid is not None:
        shapes = [answers[0], to_shape(model.output(0))]
        old_map, new_map = ((shape[1], shape[2]) for shape in shapes)
        write_grid(model, move_grid(grid, (before, old_map), (size, new_map)))
    return before


def _find_picture_axes(shape: ov.PartialShape) -> tuple[int, int]:
    return (2, 3) if shape[1] == 3 and shape[3] != 3 else (1, 2)


def _free_global_pools(model: ov.Model) -> None:
    """Replace each pooling of a whole map by a mean or maximum, which works for any size."""
    for node in model.get_ordered_ops():
        reduce = _GLOBAL.get(node.get_type_name())
        if reduce is None or to_shape(node.output(0))[2:] != (1, 1):
            continue
        attributes = node.get_attributes()
        whole = tuple(attributes["kernel"]) == to_shape(node.input_value(0))[2:]
        padded = any((*attributes["pads_begin"], *attributes["pads_end"]))
        if not whole or padded or any(port.get_target_inputs() for port in node.outputs()[1:]):
            continue
        pooled = reduce(node.input_value(0), np.array([2, 3]), keep_dims=True)
        pooled.set_friendly_name(node.get_friendly_name())
        node.output(0).replace(pooled.output(0))


def _infer_shapes(model: ov.Model, before: Size, size: Size) -> None:
    """Infer all shapes again, in topological order.

    The order ensures that the new size of a map is known when a resize that targets it is reached.
    """
    parameter = model.get_parameters()[0]
    shape = parameter.get_partial_shape()
    became: dict[Size, set[Size]] = {before: {size}}  # from the old size of maps to their new sizes
    nodes = model.get_ordered_ops()
    sizes = [_read_map_size(node) for node in nodes]
    rows, columns = _find_picture_axes(shape)
    shape[rows], shape[columns] = size
    parameter.set_partial_shape(shape)
    for node, old in zip(nodes, sizes, strict=True):
        if node.get_type_name() == "Interpolate":
            _aim_resize(node, became)
        try:
            node.validate_and_infer_types()
        except RuntimeError as error:
            name = f"{node.get_type_name()} {node.get_friendly_name()}"
            reason = explain(error)
            raise InputError(f"{name} was made for one input size and can't be reshaped: {reason}") from error
        new = _read_map_size(node)
        if old is not None and new is not None:
            became.setdefault(old, set()).add(new)
    model.validate_nodes_and_infer_types()


def _read_map_size(node: ov.Node) -> Size | None:
    if node.get_type_name() not in _MAPS:
        return None
    shape = to_shape(node.output(0))
    return (shape[2], shape[3]) if len(shape) == 4 else None


def _aim_resize(node: ov.Node, became: dict[Size, set[Size]]) -> None:
    """Set the resize's target to the new size of the corresponding map. Computed targets need no change.

    The graph doesn't state which map a target belongs to, so it is assumed to be the one with the same size. Raises
    InputError if there is no such map, or if maps of that size now have different sizes.
    """
    target = node.input_value(1)
    if not is_constant(target) or node.get_attributes().get("shape_calculation_mode") == "scales":
        return
    data = target.get_node().get_data().copy()
    aimed = tuple(int(side) for side in data.reshape(-1))
    # The target has two numbers, or one for each axis; in the latter case, rows and columns depend on the layout.
    axes = [0, 1]
    if len(aimed) != 2:
        channels_last = to_shape(node.input_value(0))[-1] == to_shape(node.output(0))[-1]
        axes = [1, 2] if channels_last and len(aimed) == 4 else [len(aimed) - 2, len(aimed) - 1]
    known = became.get((aimed[axes[0]], aimed[axes[1]]), set())
    if len(known) != 1:
        found = " or ".join(_join_sides(size) for size in sorted(known)) or "unknown, since no map had this size"
        raise InputError(
            f"Interpolate {node.get_friendly_name()} has the target {_join_sides(aimed)}; its new size would be "
            f"{found}, so it can't be reshaped"
        )
    (new,) = known
    data.reshape(-1)[axes] = new
    node.input(1).replace_source_output(ops.constant(data).output(0))


def _join_sides(size: Iterable[int]) -> str:
    return "×".join(str(side) for side in size)
