"""Removal of leftovers of converters from an OpenVINO graph: simulated 8 bits, computed constants and transposes."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import apply_moc_transformations

from danmatte_workbench.graph.layers import (
    NCHW_TO_NHWC,
    NHWC_TO_NCHW,
    compute_constants,
    find_only_reader,
    read_constant,
)

_NEVER_FOLDED = frozenset({"Constant", "Result", "Parameter", "ReadValue", "Assign"})
_LAYERS = frozenset({"Convolution", "GroupConvolution", "MatMul", "Add", "Multiply", "Concat"})


def clean_up(model: ov.Model) -> None:
    """Apply OpenVINO's own optimization, make weights plain floats and remove simulated quantization, in place."""
    apply_moc_transformations(model, cf=False)
    drop_simulated_quantization(model)
    fold_constants(model)
    apply_moc_transformations(model, cf=True)
    straighten_resizes(model)


def optimize_frozen(model: ov.Model, *, simulated: bool = False) -> None:
    """Optimize a graph from TensorFlow's frontend, in place.

    It is cleaned up fully only if it contains simulated quantization. simulated: whether to keep that quantization.
    """
    # Folds SpaceToBatch into dilations, batch norms and padding into the convolutions.
    apply_moc_transformations(model, cf=False)
    if not simulated and any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
        clean_up(model)
    straighten_resizes(model)


def drop_simulated_quantization(model: ov.Model) -> None:
    """Replace each FakeQuantize of activations by Clamp, in place, if it only rounds within a range.

    The range is part of the network: it was learnt, and values outside it were cut off during training. (Without the
    clamp, masks of 8-bit graphs had an IoU of 0.25 to 0.55 with the graph's own masks; with it, 0.96 to 0.98.) After
    the last layer no clamp is needed, because there the range only covers the outputs that were seen.
    """
    tail = set()
    for port in model.outputs:
        node = port.get_node()
        while node.get_type_name() not in _LAYERS and node.get_input_size():
            tail.add(node)
            node = node.input_value(0).get_node()
    weights = _find_computed_constants(model)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize" or node in weights:
            continue
        low, high, low_out, high_out = (read_constant(node.input_value(number)) for number in range(1, 5))
        if low is None or high is None or low_out is None or high_out is None:
            continue
        if np.allclose(low, low_out) and np.allclose(high, high_out):
            given = node.input_value(0)
            clamp = given if node in tail else ops.clamp(given, float(low.min()), float(high.max())).output(0)
            node.output(0).replace(clamp)
    model.validate_nodes_and_infer_types()


def fold_constants(model: ov.Model) -> None:
    """Compute all nodes that depend on no input, in place; dequantized and decompressed weights become constants."""
    computed = _find_computed_constants(model)
    roots = [
        output
        for node in computed
        for output in node.outputs()
        if any(target.get_node() not in computed for target in output.get_target_inputs())
    ]
    if not roots:
        return
    for root, value in zip(roots, compute_constants(roots), strict=True):
        root.replace(ops.constant(value).output(0))
    model.validate_nodes_and_infer_types()


def _find_computed_constants(model: ov.Model) -> list[ov.Node]:
    """Return the nodes that depend on constants only, without the constants themselves."""
    known: set[ov.Node] = set()
    computed = []
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Constant":
            known.add(node)
        elif (
            node.get_type_name() not in _NEVER_FOLDED
            and node.get_input_size()
            and all(value.get_node() in known for value in node.input_values())
        ):
            known.add(node)
            computed.append(node)
    return computed


def straighten_resizes(model: ov.Model) -> None:
    """Resize in NCHW, in place, and remove the transposes that TensorFlow's layout leaves around resizes.

    Because of these transposes, a quantized graph couldn't stay in 8 bits across the resize.
    """

    def is_transpose(node: ov.Node, order: list[int]) -> bool:
        if node.get_type_name() != "Transpose":
            return False
        found = read_constant(node.input_value(1))
        return found is not None and found.tolist() == order

    for node in model.get_ordered_ops():
        if node.get_type_name() != "Interpolate" or (after := find_only_reader(node)) is None:
            continue
        before = node.input_value(0).get_node()
        axes = read_constant(node.input_value(2)) if node.get_input_size() > 2 else None
        on_rows_and_columns = axes is not None and axes.tolist() == [1, 2]
        if is_transpose(before, NCHW_TO_NHWC) and is_transpose(after, NHWC_TO_NCHW) and on_rows_and_columns:
            attributes = node.get_attributes()
            straight = ops.interpolate(
                before.input_value(0), node.input_value(1), **attributes, axes=ops.constant(np.array([2, 3]))
            )
            straight.set_friendly_name(node.get_friendly_name())
            after.output(0).replace(straight.output(0))
    model.validate_nodes_and_infer_types()
