"""What the cut does to an OpenVINO graph, in memory: head and stride."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import openvino as ov
from msgspec.structs import astuple
from openvino import opset13 as ops

from danmatte.contract.grid import Grid
from danmatte_workbench.errors import InputError

NAMESPACE = "danmatte"
OUTPUT = "person"
# What lies between the last logits and the classes' names, and changes places or types but decides nothing.
_AFTER_LOGITS = frozenset(
    {
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
_Sizes: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # (height, width) of the input and of the output
_Placing: TypeAlias = Callable[[tuple[int, int], tuple[int, int]], Grid]  # from input and output size


def logits_head(model: ov.Model, person: int) -> ov.Model:
    """The person's probability where the logits are, instead of resizes and a decision over all classes.

    The answer, (1, h, w, 1) float32, is sigmoid(logit of the person − largest other logit): over one half exactly
    where the decision would be the person. For two classes the difference is folded into the last convolution.
    """
    if model.is_dynamic():
        raise InputError(f"expected a graph of fixed size, found {model.input(0).get_partial_shape()} at its input")
    logits, place = _last_logits(model)
    inputs = tuple(model.input(0).get_shape())[1:3]
    margin = _margin(logits, person)
    person_map = ops.transpose(ops.sigmoid(margin), np.array([0, 2, 3, 1]))
    height, width = person_map.get_output_shape(0)[1:3]
    grid = place(inputs, (height, width))
    cut_model = ov.Model([ops.result(person_map)], model.get_parameters(), "person")
    cut_model.output(0).set_names({OUTPUT})
    note_grid(cut_model, grid)
    return cut_model


def _last_logits(model: ov.Model) -> tuple[ov.Node, _Placing]:
    """The node whose channels are the logits (NCHW), and the grid of its enlargement."""
    node = model.output(0).get_node()
    place: _Placing = Grid.half_pixel
    while node.get_type_name() in _AFTER_LOGITS:
        if node.get_type_name() == "Interpolate":
            place = _grid_of(node.get_attributes()["coordinate_transformation_mode"])
        node = node.input_value(0).get_node()
    if node.get_type_name() not in ("Add", "Convolution"):
        raise InputError(
            f"found no logits: before the resizes stands {node.get_type_name()} {node.get_friendly_name()}"
        )
    return node, place


def _grid_of(mode: str) -> _Placing:
    known: dict[str, _Placing] = {
        "align_corners": Grid.align_corners,
        "asymmetric": Grid.asymmetric,
        "half_pixel": Grid.half_pixel,
    }
    if mode not in known:
        raise InputError(f"expected the logits' resize to be one of {', '.join(known)}, found {mode}")
    return known[mode]


def _margin(logits: ov.Node, person: int) -> ov.Node:
    classes = logits.get_output_shape(0)[1]
    if not 0 <= person < classes:
        raise InputError(f"class {person} isn't one of the graph's {classes}")
    others = [number for number in range(classes) if number != person]
    if len(others) == 1 and (folded := _folded_margin(logits, person, others[0])) is not None:
        return folded
    axis = np.array(1)
    best = ops.reduce_max(ops.gather(logits, np.array(others), axis), np.array([1]), keep_dims=True)
    return ops.subtract(ops.gather(logits, np.array([person]), axis), best)


def _folded_margin(logits: ov.Node, person: int, other: int) -> ov.Node | None:
    """The last convolution with one output channel, the difference of its two; None if it has another shape."""
    convolution = logits.input_value(0).get_node() if logits.get_type_name() == "Add" else logits
    if convolution.get_type_name() != "Convolution":
        return None
    constants = [convolution.input_value(1).get_node()]
    if logits.get_type_name() == "Add":
        constants.append(logits.input_value(1).get_node())
    if any(node.get_type_name() != "Constant" for node in constants):
        return None
    kernel = constants[0].get_data()
    attributes = convolution.get_attributes()
    narrow = ops.convolution(
        convolution.input_value(0),
        ops.constant(kernel[person : person + 1] - kernel[other : other + 1]),
        attributes["strides"],
        attributes["pads_begin"],
        attributes["pads_end"],
        attributes["dilations"],
    )
    if len(constants) == 1:
        return narrow
    bias = constants[1].get_data().reshape(-1)
    return ops.add(narrow, ops.constant(np.full((1, 1, 1, 1), bias[person] - bias[other], kernel.dtype)))


def note_grid(model: ov.Model, grid: Grid) -> None:
    """Say in the graph where its output's values lie."""
    for name in ("step_y", "step_x", "offset_y", "offset_x"):
        model.set_rt_info(repr(float(getattr(grid, name))), [NAMESPACE, name])


def read_grid(model: ov.Model) -> Grid | None:
    """Where the output's values lie, as the head step noted it in the graph; None for a graph without one."""
    if not model.has_rt_info([NAMESPACE, "step_y"]):
        return None
    names = ("step_y", "step_x", "offset_y", "offset_x")
    return Grid(*(float(model.get_rt_info([NAMESPACE, name]).astype(str)) for name in names))


def moved_grid(grid: Grid, before: _Sizes, after: _Sizes) -> Grid:
    """The same kind of grid for other sizes. Raises InputError for one of no known kind."""
    for place in (Grid.align_corners, Grid.asymmetric, Grid.half_pixel):
        values = zip(astuple(place(*before)), astuple(grid), strict=True)
        if all(abs(expected - found) < 1e-6 for expected, found in values):
            return place(*after)
    raise InputError(f"the graph's {grid} is none that a resize from {before[1]} to {before[0]} has")


def straighten_resizes(model: ov.Model) -> None:
    """Resize where channels come first, in place, without the transposes that TensorFlow's layout leaves around it.

    They would keep a quantized graph from staying in 8 bits across the resize.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() != "Interpolate" or len(node.output(0).get_target_inputs()) != 1:
            continue
        before, after = node.input_value(0).get_node(), next(iter(node.output(0).get_target_inputs())).get_node()
        if _order(before) == [0, 2, 3, 1] and _order(after) == [0, 3, 1, 2] and _data(node.input_value(2)) == [1, 2]:
            attributes = node.get_attributes()
            straight = ops.interpolate(
                before.input_value(0), node.input_value(1), **attributes, axes=ops.constant(np.array([2, 3]))
            )
            straight.set_friendly_name(node.get_friendly_name())
            after.output(0).replace(straight.output(0))
    model.validate_nodes_and_infer_types()


def _order(node: ov.Node) -> list[int] | None:
    return _data(node.input_value(1)) if node.get_type_name() == "Transpose" else None


def _data(output: ov.Output) -> list[int] | None:
    node = output.get_node()
    return node.get_data().tolist() if node.get_type_name() == "Constant" else None


def halve_resolution(model: ov.Model) -> _Sizes:
    """Undo one trade of stride for dilation, in place; return the features' old and new (height, width).

    The depthwise convolution before the first dilated one strides again, the dilations after it are halved, the
    pooling stays global and the resizes to the features' size follow. Raises InputError where nothing is dilated.
    """
    first = _before_dilation(model)
    old = _places(first)
    first.set_attribute("strides", [2, 2])
    new = ((old[0] + 1) // 2, (old[1] + 1) // 2)
    for node in model.get_ordered_ops():
        if node.get_type_name() in ("GroupConvolution", "Convolution"):
            _halve_dilation(node)
        elif node.get_type_name() == "AvgPool" and tuple(node.get_attributes()["kernel"]) == old:
            pooled = ops.reduce_mean(node.input_value(0), np.array([2, 3]), keep_dims=True)
            node.output(0).replace(pooled.output(0))
        elif node.get_type_name() == "Interpolate":
            _follow(node, old, new)
    model.validate_nodes_and_infer_types()
    return old, new


def output_stride(model: ov.Model) -> int:
    """Input pixels from one place of the dilated features to the next, a power of two."""
    width = model.input(0).get_shape()[2]
    return int(2 ** round(math.log2(width / _places(_before_dilation(model))[1])))


def _places(node: ov.Node) -> tuple[int, int]:
    height, width = list(node.get_output_shape(0))[2:]
    return height, width


def _before_dilation(model: ov.Model) -> ov.Node:
    """The depthwise convolution before the first dilated one: the one that lost its stride."""
    depthwise = [node for node in model.get_ordered_ops() if node.get_type_name() == "GroupConvolution"]
    number = next((i for i, node in enumerate(depthwise) if node.get_attributes()["dilations"] != [1, 1]), 0)
    if number == 0:
        raise InputError("no depthwise convolution is dilated after an undilated one, so no stride was traded away")
    return depthwise[number - 1]


def _halve_dilation(node: ov.Node) -> None:
    attributes = node.get_attributes()
    dilation = attributes["dilations"]
    if dilation == [1, 1]:
        return
    node.set_attribute("dilations", [side // 2 for side in dilation])
    for name in ("pads_begin", "pads_end"):
        node.set_attribute(name, [side // 2 for side in attributes[name]])


def _follow(node: ov.Node, old: tuple[int, int], new: tuple[int, int]) -> None:
    if _data(node.input_value(1)) == list(old):
        node.input(1).replace_source_output(ops.constant(np.array(new, np.int64)).output(0))
