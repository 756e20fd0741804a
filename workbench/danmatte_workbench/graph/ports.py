"""Lookup of places in an OpenVINO graph by name, and extraction of the part between two places."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import NHWC_TO_NCHW


def find_input_port(model: ov.Model, name: str) -> ov.Input | None:
    """Return the port ``0:node``; None if ``name`` is an input of the graph. Raises InputError if it is neither."""
    number, colon, node_name = name.partition(":")
    if any(name in list_names(port) for port in model.inputs):
        return None
    if not (colon and number.isdigit()):
        raise InputError(f"has no input {name}; give a node's input port as 0:node{suggest_nodes(model, name)}")
    node = _find_node(model, node_name)
    if node is None or int(number) >= node.get_input_size():
        raise InputError(f"has no node {name}{suggest_nodes(model, node_name)}")
    return node.input(int(number))


def find_output(model: ov.Model, name: str) -> ov.Output:
    """Return the output of the node, tensor or Result with that name. Raises InputError with the nearest names."""
    for port in model.outputs:
        if name in list_names(port):
            return port.get_node().input_value(0)
    for op in model.get_ordered_ops():
        for output in op.outputs():
            if name in output.get_names():
                return output
    node = _find_node(model, name)
    if node is None:
        raise InputError(f"has no node {name}{suggest_nodes(model, name)}")
    return node.output(0) if node.get_output_size() else node.input_value(0)


def list_names(port: ov.Output) -> set[str]:
    """Return all names of a graph's input or output: of its tensor, its node, and the node before a Result."""
    source = port.get_node()
    names = set(port.get_names()) | {source.get_friendly_name()}
    if source.get_type_name() == "Result":
        names.add(source.input_value(0).get_node().get_friendly_name())
    return names


def pick_name(port: ov.Output) -> str:
    """Return the port's shortest tensor name, or its node's name if it has none."""
    names = sorted(port.get_names(), key=lambda name: (len(name), name))
    if names:
        return str(names[0])
    node = port.get_node()
    return str((node.input_value(0).get_node() if node.get_type_name() == "Result" else node).get_friendly_name())


def _find_node(model: ov.Model, name: str) -> ov.Node | None:
    for op in model.get_ordered_ops():
        if op.get_friendly_name() == name or any(name in output.get_names() for output in op.outputs()):
            return op
    return None


def suggest_nodes(model: ov.Model, name: str) -> str:
    """Return the end of an error message: the nearest names of nodes, or the first ones."""
    known = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() != "Constant"]
    return did_you_mean(name, known, suggestions=3, cutoff=0.4)


def extract_part(model: ov.Model, inputs: str, output: str) -> ov.Model:
    """Return the part from ``inputs`` to ``output``, with an input of (1, H, W, 3) float32, whatever its inner layout.

    Raises InputError for an unknown place, and if the input isn't a picture of three channels.
    """
    start, end = find_input_port(model, inputs), find_output(model, output)
    target = model.input(0) if start is None else start.get_source_output()
    shape = target.get_partial_shape()
    if shape.is_dynamic or shape.rank.get_length() != 4 or 3 not in (shape[1], shape[3]):
        raise InputError(f"expected a picture of three channels at {inputs}, found {shape}")
    sides = list(target.get_shape())
    channels_first = sides[1] == 3 and sides[3] != 3
    picture = ops.parameter([1, *sides[2:], 3] if channels_first else sides, np.float32, name="picture")
    given = ops.transpose(picture, np.array(NHWC_TO_NCHW)) if channels_first else picture
    kind = target.get_element_type()
    if kind.is_real() and kind != ov.Type.f32:
        given = ops.convert(given, kind.get_type_name())
    # Other readers of the picture get the new input, too, such as a resize at the end that uses its shape.
    target.replace(given.output(0))
    if others := _find_needed(end, model, picture):
        raise InputError(f"the part from {inputs} to {output} also needs {' and '.join(others)}; cut elsewhere")
    part = ov.Model([ops.result(end)], [picture], "part")
    part.input(0).set_names({"picture"})
    return part


def _find_needed(end: ov.Output, model: ov.Model, picture: ov.Node) -> list[str]:
    """Return the names of the graph's own inputs on which ``end`` still depends."""
    queue, seen = [end.get_node()], {picture}
    while queue:
        node = queue.pop()
        if node not in seen:
            seen.add(node)
            queue += [value.get_node() for value in node.input_values()]
    return [parameter.get_friendly_name() for parameter in model.get_parameters() if parameter in seen]
