"""Taking a part out of an OpenVINO graph in memory, and what its converters leave in it."""

from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import apply_moc_transformations
from openvino.preprocess import ColorFormat, PrePostProcessor

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.anatomy import Anatomy, Node
from danmatte_workbench.graph.surgery import straighten_resizes
from danmatte_workbench.normalisation import Normalisation

_CONSTANT = "Constant"
_NEVER_FOLDED = frozenset({_CONSTANT, "Result", "Parameter", "ReadValue", "Assign"})
_LAYERS = frozenset({"Convolution", "GroupConvolution", "MatMul", "Add", "Multiply", "Concat"})
_FIRST = [0, 3, 1, 2]


def anatomy(model: ov.Model) -> Anatomy:
    """The model's nodes by their friendly names."""
    nodes = []
    for op in model.get_ordered_ops():
        feeding = tuple(value.get_node().get_friendly_name() for value in op.input_values())
        nodes.append(Node(op.get_friendly_name(), op.get_type_name(), feeding))
    return Anatomy(tuple(nodes))


def tidy(model: ov.Model) -> None:
    """In place: what OpenVINO's own optimization does, weights as plain floats, simulated 8 bits out of the way."""
    apply_moc_transformations(model, cf=False)
    drop_simulation(model)
    fold_constants(model)
    apply_moc_transformations(model, cf=True)
    straighten_resizes(model)


def drop_simulation(model: ov.Model) -> None:
    """Put Clamp, in place, where FakeQuantize of activations rounds within a range: the range belongs to the network.

    It was learnt, and what lies outside it was cut off in training. Behind the last layer nothing is cut off.
    """
    tail = _tail(model)
    weights = _constants(model)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "FakeQuantize" or node in weights:
            continue
        low, high, low_out, high_out = (_values(node.input_value(number)) for number in range(1, 5))
        if low is None or high is None or low_out is None or high_out is None:
            continue
        if np.allclose(low, low_out) and np.allclose(high, high_out):
            given = node.input_value(0)
            clamp = given if node in tail else ops.clamp(given, float(low.min()), float(high.max())).output(0)
            node.output(0).replace(clamp)
    model.validate_nodes_and_infer_types()


def _tail(model: ov.Model) -> set[ov.Node]:
    """The nodes behind the last one with weights, as far as each output's first inputs lead."""
    found = set()
    for port in model.outputs:
        node = port.get_node()
        while node.get_type_name() not in _LAYERS and node.get_input_size():
            found.add(node)
            node = node.input_value(0).get_node()
    return found


def fold_constants(model: ov.Model) -> None:
    """Compute, in place, whatever depends on no input: dequantized and decompressed weights become constants."""
    computed = _constants(model)
    roots = [
        output
        for node in computed
        for output in node.outputs()
        if any(target.get_node() not in computed for target in output.get_target_inputs())
    ]
    if not roots:
        return
    for root, value in zip(roots, _values_of(roots), strict=True):
        root.replace(ops.constant(value).output(0))
    model.validate_nodes_and_infer_types()


def _constants(model: ov.Model) -> list[ov.Node]:
    """The nodes that depend on constants only, constants themselves apart."""
    known: set[ov.Node] = set()
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() == _CONSTANT:
            known.add(node)
        elif _may_be_folded(node) and all(value.get_node() in known for value in node.input_values()):
            known.add(node)
            found.append(node)
    return found


def _may_be_folded(node: ov.Node) -> bool:
    return node.get_type_name() not in _NEVER_FOLDED and bool(node.get_input_size())


def _values_of(roots: list[ov.Output]) -> list[np.ndarray]:
    """What the outputs come to, in float32 arithmetic."""
    part = ov.Model([ops.result(root) for root in roots], [], "constants")
    compiled = ov.Core().compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled.create_infer_request().infer({})
    return [np.array(results[number]) for number in range(len(roots))]


def _values(output: ov.Output) -> np.ndarray | None:
    node = output.get_node()
    return np.array(node.get_data()) if node.get_type_name() == _CONSTANT else None


def input_port(model: ov.Model, name: str) -> ov.Input | None:
    """The port ``0:node``; None where ``name`` is an input of the graph itself. Raises InputError for neither."""
    number, colon, node_name = name.partition(":")
    if any(name in _names(port) for port in model.inputs):
        return None
    if not (colon and number.isdigit()):
        raise InputError(f"has no input {name}; give a node's input port as 0:node{_nearest(model, name)}")
    node = _node(model, node_name)
    if node is None or int(number) >= node.get_input_size():
        raise InputError(f"has no node {name}{_nearest(model, node_name)}")
    return node.input(int(number))


def output_port(model: ov.Model, name: str) -> ov.Output:
    """The output of the node or tensor of that name, or of a Result's. Raises InputError with the nearest names."""
    for port in model.outputs:
        if name in _names(port):
            return port.get_node().input_value(0)
    for op in model.get_ordered_ops():
        for output in op.outputs():
            if name in output.get_names():
                return output
    node = _node(model, name)
    if node is None:
        raise InputError(f"has no node {name}{_nearest(model, name)}")
    return node.output(0) if node.get_output_size() else node.input_value(0)


def _names(port: ov.Output) -> set[str]:
    source = port.get_node()
    names = set(port.get_names()) | {source.get_friendly_name()}
    if source.get_type_name() == "Result":
        names.add(source.input_value(0).get_node().get_friendly_name())
    return names


def _node(model: ov.Model, name: str) -> ov.Node | None:
    for op in model.get_ordered_ops():
        if op.get_friendly_name() == name or any(name in output.get_names() for output in op.outputs()):
            return op
    return None


def _nearest(model: ov.Model, name: str) -> str:
    known = [op.get_friendly_name() for op in model.get_ordered_ops() if op.get_type_name() != _CONSTANT]
    return did_you_mean(name, known, suggestions=3, cutoff=0.4)


def part(model: ov.Model, inputs: str, output: str) -> ov.Model:
    """The part from ``inputs`` to ``output``, fed with (1, H, W, 3) float32 whatever its layout inside."""
    start, end = input_port(model, inputs), output_port(model, output)
    target = model.input(0) if start is None else start.get_source_output()
    shape = target.get_partial_shape()
    if shape.is_dynamic or shape.rank.get_length() != 4 or 3 not in (shape[1], shape[3]):
        raise InputError(f"expected a picture of three channels at {inputs}, found {shape}")
    sides = list(target.get_shape())
    first = sides[1] == 3 and sides[3] != 3
    picture = ops.parameter([1, *sides[2:], 3] if first else sides, np.float32, name="picture")
    given = ops.transpose(picture, np.array(_FIRST)) if first else picture
    if start is None:
        target.replace(given.output(0))
    else:
        start.replace_source_output(given.output(0))
    cut_out = ov.Model([ops.result(end)], [picture], "part")
    cut_out.input(0).set_names({"picture"})
    return cut_out


def take_uint8(model: ov.Model, *, channels_first: bool, normalisation: Normalisation | None) -> ov.Model:
    """The same graph fed with (1, H, W, 3) uint8 RGB; conversion, normalisation and layout are inside."""
    processor = PrePostProcessor(model)
    entry = processor.input()
    kind = model.input(0).get_element_type()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.RGB)
    entry.model().set_layout(ov.Layout("NCHW" if channels_first else "NHWC"))
    steps = entry.preprocess()
    if normalisation is not None:
        steps = steps.convert_element_type(ov.Type.f32)
        if normalisation.colour == "BGR":
            steps = steps.convert_color(ColorFormat.BGR)
        steps = steps.mean(list(normalisation.mean)).scale(list(normalisation.scale))
    elif kind == ov.Type.i8:
        steps = steps.convert_element_type(ov.Type.f32).mean(128.0)
    steps.convert_element_type(kind)
    return processor.build()


@dataclass(frozen=True)
class Sketch:
    """A graph as it would be cut.

    picture, answers: its input and outputs; floats, channels_first: what the input takes; fixed: its (height, width)
    where the graph says so. scores: the shape of what the graph chooses among, empty where it doesn't choose.
    """

    anatomy: Anatomy
    picture: str
    floats: bool
    channels_first: bool
    fixed: tuple[int, int] | None
    answers: tuple[str, ...]
    scores: tuple[int, ...]


def name_of(port: ov.Output) -> str:
    """The port's shortest tensor name, or its node's."""
    names = sorted(port.get_names(), key=lambda name: (len(name), name))
    if names:
        return str(names[0])
    node = port.get_node()
    return str((node.input_value(0).get_node() if node.get_type_name() == "Result" else node).get_friendly_name())
