"""Changes of a DeepLab-like graph in memory: a new head, and the output stride that the network was trained at."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import openvino as ov
from msgspec.structs import astuple
from openvino import opset13 as ops

from danmatte.contract.grid import Grid
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, NCHW_TO_NHWC, is_bias, is_constant, read_constant

NAMESPACE = "danmatte"  # the key in a graph's rt_info under which our values are stored
OUTPUT = "person"
GRID_FIELDS = ("step_y", "step_x", "offset_y", "offset_x")
# Nodes between the logits and the decision that change places or types, or round, and the decision itself.
_AFTER_LOGITS = frozenset(
    {
        "FakeQuantize",
        "Result",
        "Squeeze",
        "TopK",
        "Transpose",
        "Interpolate",
        "Convert",
        "Reshape",
        "StridedSlice",
        "Slice",
        "Softmax",
    }
)
Size: TypeAlias = tuple[int, int]  # height, width
_MakeGrid: TypeAlias = Callable[[Size, Size], Grid]  # from the sizes of input and output
# The coordinate transformations of a resize. DeepLab's resizes are align_corners: the outermost values lie on the
# picture's outermost pixels. The head removes the resize, which the service does instead, so the grid must state its
# kind: with the wrong one, masks would be shifted by up to half a step, which is 8 pixels at stride 16.
_GRIDS: dict[str, _MakeGrid] = {
    "align_corners": Grid.align_corners,
    "asymmetric": Grid.asymmetric,
    "half_pixel": Grid.half_pixel,
}


def replace_head(model: ov.Model, person: int) -> ov.Model:
    """Return the graph with the person's probability at the logits' resolution, as its only output.

    Resizes and the decision over all classes are removed. The output, (1, h, w, 1) float32, is sigmoid(logit of the
    person − largest other logit). It is above one half exactly where the decision would be the person. For two classes,
    the difference is folded into the last convolution. Two resizes and a decision at full resolution cost as much as a
    third of the network.

    If there are no logits before the resizes, the person is read from the output itself, at its own resolution.

    Raises InputError for a graph of dynamic size, an output that is no map, and an unknown class.
    """
    if model.is_dynamic():
        raise InputError(f"expected a graph of fixed size, found {model.input(0).get_partial_shape()} at its input")
    node = model.output(0).get_node()
    make_grid: _MakeGrid = Grid.half_pixel
    while node.get_type_name() in _AFTER_LOGITS:
        if node.get_type_name() == "Interpolate":
            mode = node.get_attributes()["coordinate_transformation_mode"]
            if mode not in _GRIDS:
                raise InputError(f"expected the logits' resize to be one of {', '.join(_GRIDS)}, found {mode}")
            make_grid = _GRIDS[mode]
        node = node.input_value(0).get_node()
    if node.get_type_name() not in ("Add", "Convolution"):
        return pick_person(model, person)
    inputs = tuple(model.input(0).get_shape())[1:3]
    person_map = ops.transpose(ops.sigmoid(_subtract_others(node, person)), np.array(NCHW_TO_NHWC))
    height, width = person_map.get_output_shape(0)[1:3]
    headed = ov.Model([ops.result(person_map)], model.get_parameters(), "person")
    headed.output(0).set_names({OUTPUT})
    write_grid(headed, make_grid(inputs, (height, width)))
    return headed


def pick_person(model: ov.Model, person: int) -> ov.Model:
    """Return the graph with the person's probability, (1, h, w, 1), from its class numbers, probabilities or logits.

    Raises InputError for an output that is no map, and for an unknown class.
    """
    end = model.output(0).get_node().input_value(0)
    shape, kind = list(end.get_shape()), end.get_node().get_type_name()
    if len(shape) not in (3, 4) or shape[0] != 1:
        raise InputError(f"expected a map as the output, found {end.get_partial_shape()} of {kind}")
    if not end.get_element_type().is_real():
        sides = [side for side in shape[1:] if side != 1] if len(shape) == 4 else shape[1:]
        found = ops.convert(ops.equal(end, ops.constant(np.array(person), end.get_element_type())), "f32").output(0)
    else:
        last = len(shape) == 4 and shape[3] < shape[1]
        channels = 1 if len(shape) == 3 else shape[3 if last else 1]
        sides = shape[1:] if len(shape) == 3 else shape[1:3] if last else shape[2:]
        found = _weigh_person(end, person, channels, 3 if last else 1)
    person_map = ops.reshape(found, np.array([1, *sides, 1]), special_zero=False)
    headed = ov.Model([ops.result(person_map)], model.get_parameters(), "person")
    headed.output(0).set_names({OUTPUT})
    height, width = list(model.input(0).get_shape())[1:3]
    write_grid(headed, Grid.guess((height, width), (sides[0], sides[1])))
    return headed


def _weigh_person(values: ov.Output, person: int, channels: int, axis: int) -> ov.Output:
    """Return the person's share of the sum of it and the largest other class; above one half, it would be chosen."""
    values = ops.convert(values, "f32").output(0) if values.get_element_type() != ov.Type.f32 else values
    node = values.get_node()
    while node.get_type_name() in _AFTER_LOGITS - {"Softmax"}:
        node = node.input_value(0).get_node()
    probable = node.get_type_name() in ("Softmax", "Sigmoid")
    if channels == 1:
        return values if probable else ops.sigmoid(values).output(0)
    if not 0 <= person < channels:
        raise InputError(f"class {person} isn't one of the graph's {channels}")
    others = np.array([number for number in range(channels) if number != person])
    own = ops.gather(values, np.array([person]), np.array(axis))
    best = ops.reduce_max(ops.gather(values, others, np.array(axis)), np.array([axis]), keep_dims=True)
    if probable:
        return ops.divide(own, ops.add(ops.add(own, best), np.float32(1e-12))).output(0)
    return ops.sigmoid(ops.subtract(own, best)).output(0)


def _subtract_others(logits: ov.Node, person: int) -> ov.Node:
    """Return the person's logit minus the largest other one, (1, 1, h, w)."""
    classes = logits.get_output_shape(0)[1]
    if not 0 <= person < classes:
        raise InputError(f"class {person} isn't one of the graph's {classes}")
    others = [number for number in range(classes) if number != person]
    if len(others) == 1 and (folded := _fold_difference(logits, person, others[0])) is not None:
        return folded
    axis = np.array(1)
    best = ops.reduce_max(ops.gather(logits, np.array(others), axis), np.array([1]), keep_dims=True)
    return ops.subtract(ops.gather(logits, np.array([person]), axis), best)


def _fold_difference(logits: ov.Node, person: int, other: int) -> ov.Node | None:
    """Return the last convolution with one output channel, the difference of its two; None if that isn't possible."""
    with_bias = logits.get_type_name() == "Add"
    convolution = logits.input_value(0).get_node() if with_bias else logits
    if convolution.get_type_name() != "Convolution" or not is_constant(convolution.input_value(1)):
        return None
    if with_bias and not is_bias(logits.input_value(1), channels=2):
        return None
    kernel = convolution.input_value(1).get_node().get_data()
    attributes = convolution.get_attributes()
    narrow = ops.convolution(
        convolution.input_value(0),
        ops.constant(kernel[person : person + 1] - kernel[other : other + 1]),
        attributes["strides"],
        attributes["pads_begin"],
        attributes["pads_end"],
        attributes["dilations"],
    )
    if not with_bias:
        return narrow
    bias = np.broadcast_to(logits.input_value(1).get_node().get_data().reshape(-1), 2)
    return ops.add(narrow, ops.constant(np.full((1, 1, 1, 1), bias[person] - bias[other], kernel.dtype)))


def soften_sigmoid(model: ov.Model, sharpness: float) -> None:
    """Multiply the input of the sigmoid at the graph's end by ``sharpness``, in place.

    Raises InputError if there is no sigmoid at its end.
    """
    node = model.output(0).get_node().input_value(0).get_node()
    while node.get_type_name() == "Transpose":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Sigmoid":
        raise InputError(f"soften: expected a sigmoid at the graph's end, found {node.get_type_name()}")
    softer = ops.multiply(node.input_value(0), np.float32(sharpness))
    node.input(0).replace_source_output(softer.output(0))
    model.validate_nodes_and_infer_types()


def write_grid(model: ov.Model, grid: Grid) -> None:
    """Store in the graph where its output's values lie.

    It is stored in rt_info, which survives quantization and saving, because only the step that removes the resize knows
    it.
    """
    for name in GRID_FIELDS:
        model.set_rt_info(repr(float(getattr(grid, name))), [NAMESPACE, name])


def read_grid(model: ov.Model) -> Grid | None:
    """Return where the output's values lie, as the head step stored it in the graph; None if it isn't stored."""
    if not model.has_rt_info([NAMESPACE, GRID_FIELDS[0]]):
        return None
    return Grid(*(float(model.get_rt_info([NAMESPACE, name]).astype(str)) for name in GRID_FIELDS))


def move_grid(grid: Grid, before: tuple[Size, Size], after: tuple[Size, Size]) -> Grid:
    """Return the same kind of grid for other sizes of input and output. Raises InputError for an unknown kind."""
    for make_grid in (Grid.align_corners, Grid.asymmetric, Grid.half_pixel):
        values = zip(astuple(make_grid(*before)), astuple(grid), strict=True)
        if all(abs(expected - found) < 1e-6 for expected, found in values):
            return make_grid(*after)
    raise InputError(f"the graph's {grid} doesn't belong to any resize from {before[1]} to {before[0]}")


def double_stride(model: ov.Model) -> tuple[Size, Size]:
    """Undo one replacement of a stride by dilation, in place; return the features' old and new (height, width).

    The public DeepLab graphs were trained at output stride 16 and exported at 8. The exporter removes the last stride
    and doubles the dilations after it, so that the same weights see the same neighbours at twice as many places per
    side. Undoing this halves the work. Raises InputError if nothing is dilated.
    """
    first = _find_unstrided(model)
    old = _read_map_size(first)
    first.set_attribute("strides", [2, 2])
    new = ((old[0] + 1) // 2, (old[1] + 1) // 2)
    for node in model.get_ordered_ops():
        attributes = node.get_attributes()
        if node.get_type_name() in CONVOLUTIONS and attributes["dilations"] != [1, 1]:
            # Paddings belong to the dilated kernel, so they are halved as well; otherwise the map would grow.
            for name in ("dilations", "pads_begin", "pads_end"):
                node.set_attribute(name, [side // 2 for side in attributes[name]])
        elif node.get_type_name() == "AvgPool" and tuple(attributes["kernel"]) == old:
            # The kernel of the pyramid's image pooling is as large as the map; a mean is global at any size.
            pooled = ops.reduce_mean(node.input_value(0), np.array([2, 3]), keep_dims=True)
            node.output(0).replace(pooled.output(0))
        elif node.get_type_name() == "Interpolate":
            target = read_constant(node.input_value(1))
            if target is not None and target.tolist() == list(old):
                node.input(1).replace_source_output(ops.constant(np.array(new, np.int64)).output(0))
    model.validate_nodes_and_infer_types()
    return old, new


def compute_output_stride(model: ov.Model) -> int:
    """Return the distance between places of the dilated features in input pixels, a power of two."""
    width = model.input(0).get_shape()[2]
    return int(2 ** round(math.log2(width / _read_map_size(_find_unstrided(model))[1])))


def _read_map_size(node: ov.Node) -> Size:
    height, width = list(node.get_output_shape(0))[2:]
    return height, width


def _find_unstrided(model: ov.Model) -> ov.Node:
    """Return the depthwise convolution before the first dilated one, which is the one whose stride was removed."""
    depthwise = [node for node in model.get_ordered_ops() if node.get_type_name() == "GroupConvolution"]
    number = next((i for i, node in enumerate(depthwise) if node.get_attributes()["dilations"] != [1, 1]), 0)
    if number == 0:
        raise InputError("no depthwise convolution is dilated after an undilated one, so no stride was removed")
    return depthwise[number - 1]
