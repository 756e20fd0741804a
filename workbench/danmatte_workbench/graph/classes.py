"""Conversion of one channel for a person to two classes, so that code for classes works for it, too."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.graph.layers import is_constant

# Nodes after the last layer that don't change the decision, which is the sign of the last logit.
_PASSING = frozenset({"Interpolate", "Transpose", "Convert"})
_DROPPED = frozenset({"Sigmoid", "Squeeze", "Unsqueeze", "Reshape"})


def widen_to_two_classes(model: ov.Model) -> bool:
    """Add a channel of zeros before the only output channel, in place; return whether the model had a single channel.

    The output becomes two logits, of which the second is the person's: softmax over (0, x) is sigmoid(x).
    """
    path = [model.output(0).get_node()]
    while path[-1].input_value(0).get_node().get_type_name() in _PASSING | _DROPPED:
        path.append(path[-1].input_value(0).get_node())
    last = path[-1].input_value(0)
    shape = last.get_partial_shape()
    if last.get_node().get_type_name() == "TopK" or not last.get_element_type().is_real():
        return False
    if not (shape.rank.is_static and len(shape) == 4 and shape[1].is_static and shape[1].get_length() == 1):
        return False
    for node in path:
        if node.get_type_name() in _DROPPED:
            node.output(0).replace(node.input_value(0))
    wide = _prepend_zeros(last.get_node())
    for target in last.get_target_inputs():
        if target.get_node() is not wide and target.get_node() != wide:
            target.replace_source_output(wide.output(0))
    model.validate_nodes_and_infer_types()
    return True


def _prepend_zeros(node: ov.Node) -> ov.Node:
    """Return two channels, zeros and the given one, by extending the last convolution or by adding another one."""
    bias = None
    if node.get_type_name() == "Add" and is_constant(node.input_value(1)):
        values = node.input_value(1).get_node().get_data()
        bias = float(values.reshape(-1)[0]) if values.size == 1 else None
    layer = node if bias is None else node.input_value(0).get_node()
    if layer.get_type_name() == "Convolution" and is_constant(layer.input_value(1)):
        kernel = layer.input_value(1).get_node().get_data()
        attributes = layer.get_attributes()
        wide = ops.convolution(
            layer.input_value(0),
            np.concatenate([np.zeros_like(kernel), kernel]),
            attributes["strides"],
            attributes["pads_begin"],
            attributes["pads_end"],
            attributes["dilations"],
            attributes["auto_pad"],
        )
        if bias is None:
            return wide
        return ops.add(wide, ops.constant(np.array([0, bias], kernel.dtype).reshape(1, 2, 1, 1)))
    kernel = np.array([0, 1], np.float32).reshape(2, 1, 1, 1)
    return ops.convolution(node.output(0), kernel, [1, 1], [0, 0], [0, 0], [1, 1])
