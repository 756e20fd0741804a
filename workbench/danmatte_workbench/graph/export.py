"""Export of a graph, or a part of it, as IR that keeps the source's names, ports, types and layouts.

Nothing changes unless it is requested. Requested changes are made with OpenVINO's own PrePostProcessor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import openvino as ov
from openvino.preprocess import PrePostProcessor

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import conversion, sizes
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.graph.layers import extract
from danmatte_workbench.graph.opening import is_tensorflow, load_whole
from danmatte_workbench.graph.ports import find_output, list_names, pick_name
from danmatte_workbench.runtimes.causes import explain
from danmatte_workbench.runtimes.openvino import renumber_names, translate_errors

Wanted = TypeVar("Wanted")
_PICTURE_CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class InputRequest:
    """The options of one input: its place (``node``, or ``0:node`` for a cut), its shape and its element type.

    name: empty for the graph's only input.
    shape: in OpenVINO's notation, such as ``[1,3,?,?]``; empty keeps it.
    kind: the element type, such as ``u8``; empty keeps it.
    """

    name: str = ""
    shape: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing inside the IR: reversed channels first, then (value − mean) / scale.

    mean, scale: by input, numbers in the order of the network's channels; the only input may have an empty name.
    layouts: by input or output, the graph's own layout and the IR's; an empty one is the same as the graph's.
    """

    mean: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scale: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    reverse_channels: bool = False
    layouts: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def export(path: Path, inputs: Sequence[InputRequest] = (), outputs: Sequence[str] = ()) -> ov.Model:
    """Return the graph from ``inputs`` to ``outputs``; without names, its own inputs and outputs.

    Raises InputError that names the graph and the place in it.
    """
    ports = [request.name for request in inputs if is_port(request.name)]
    if is_tensorflow(path) and (ports or _ends_inside(path, outputs)):
        model = _cut_tensorflow(path, inputs, outputs)
    elif ports:
        model = _cut_elsewhere(path, inputs, outputs)
    else:
        model = load_whole(path)
        with conversion.name_graph(path):
            ends = [find_output(model, name) for name in outputs]
        if ends:
            model = extract(model, ends, model.get_friendly_name())
            for parameter in model.get_parameters():
                if not parameter.output(0).get_target_inputs() and len(model.inputs) > 1:
                    model.remove_parameter(parameter)
        model = _set_shapes(model, path, inputs)
    model = _set_types(model, path, inputs)
    renumber_names(model)
    return model


def is_port(name: str) -> bool:
    """Return whether the name is that of a node's input port, ``0:node``."""
    number, colon, node = name.partition(":")
    return bool(number.isdigit() and colon and node)


def _ends_inside(path: Path, outputs: Sequence[str]) -> bool:
    """Return whether any of the outputs isn't an output of the graph itself."""
    if not outputs:
        return False
    ends = set(Anatomy.from_tensorflow(path).find_ends())
    return any(name.removesuffix(":0") not in ends for name in outputs)


def _cut_tensorflow(path: Path, inputs: Sequence[InputRequest], outputs: Sequence[str]) -> ov.Model:
    anatomy = Anatomy.from_tensorflow(path)
    own = [node.name for node in anatomy.find_kinds({"Placeholder"})]
    ends = [name for name in outputs if name] or list(anatomy.find_ends())
    asked = {request.name or own[0]: request.shape for request in inputs} if own or inputs else {}
    if not any(is_port(name) for name in asked):
        wanted = {name.partition(":")[0] for name in ends}
        reaching = [name for name in own if wanted & anatomy.find_reachable(name)]
        asked = {**dict.fromkeys(reaching, ""), **asked}
    shapes = {name: ov.PartialShape(shape) if shape else None for name, shape in asked.items()}
    model = conversion.cut_frozen(path, shapes, ends, simulated=True)
    name_outputs(model, ends)
    return model


def name_outputs(model: ov.Model, names: Sequence[str]) -> None:
    """Set the outputs' names, in place, also in TensorFlow's form for tensors (``node:0``)."""
    for port, name in zip(model.outputs, names, strict=True):
        port.get_tensor().set_names({name, name.removesuffix(":0")})


def _cut_elsewhere(path: Path, inputs: Sequence[InputRequest], outputs: Sequence[str]) -> ov.Model:
    if len(inputs) != 1 or len(outputs) > 1:
        raise InputError(f"{path}: graphs that aren't TensorFlow's are cut from one input port to one output")
    whole = load_whole(path)
    output = outputs[0] if outputs else pick_name(whole.output(0))
    shape = inputs[0].shape or "[1,513,513,3]"
    sides = ov.PartialShape(shape)
    if sides.is_dynamic or len(sides) != 4:
        raise InputError(f"{path}: a cut needs a fixed shape [1,H,W,3], received {shape}")
    return conversion.cut(path, inputs=inputs[0].name, output=output, shape=tuple(sides.to_shape()))


def find_input(model: ov.Model, name: str, path: Path) -> ov.Output:
    """Return the graph's input of that name; for an empty name, its only input.

    Raises InputError with the nearest names.
    """
    if not name and len(model.inputs) == 1:
        return model.input(0)
    known = [port.get_node().get_friendly_name() for port in model.inputs]
    for port in model.inputs:
        if name in list_names(port):
            return port
    if not name:
        raise InputError(f"{path}: has {len(known)} inputs, so each must be named: {', '.join(known)}")
    hint = did_you_mean(name, known)
    raise InputError(f"{path}: has no input {name}{hint}; for a cut inside the graph, give 0:NODE")


def _set_shapes(model: ov.Model, path: Path, inputs: Sequence[InputRequest]) -> ov.Model:
    asked = {}
    for request in inputs:
        port = find_input(model, request.name, path)
        if request.shape:
            asked[port] = ov.PartialShape(request.shape)
    if asked:
        _reshape(model, path, asked)
    elif len(model.inputs) == 1 and not inputs:
        _fix_inner_size(model, path)
    return model


def _reshape(model: ov.Model, path: Path, shapes: Mapping[ov.Output, ov.PartialShape]) -> None:
    for port, shape in shapes.items():
        given = port.get_partial_shape()
        if not given.rank.is_dynamic and len(given) != len(shape):
            name = port.get_node().get_friendly_name()
            raise InputError(f"{path}: input {name} has the shape {given}, received {shape}")
    try:
        model.clone().reshape({model_index(model, port): shape for port, shape in shapes.items()})
    except RuntimeError as error:
        words = " and ".join(str(shape) for shape in shapes.values())
        fixed = " and ".join(str(port.get_partial_shape()) for port in shapes)
        hint = _hint_at_sizes(model, path, shapes)
        raise InputError(f"{path}: can't take {words} instead of {fixed}: {explain(error)}{hint}") from error
    model.reshape({model_index(model, port): shape for port, shape in shapes.items()})


def model_index(model: ov.Model, port: ov.Output) -> int:
    """Return the index of the input ``port``."""
    return next(n for n, own in enumerate(model.inputs) if own.get_node() == port.get_node())


def _hint_at_sizes(model: ov.Model, path: Path, shapes: Mapping[ov.Output, ov.PartialShape]) -> str:
    """Return the end of an error message for graphs of one picture: the sizes that fit."""
    (port, shape), *others = shapes.items()
    if others or len(shape) != 4 or shape.is_dynamic:
        return ""
    channels_first = guess_channels_first(port, path)
    sides = list(shape.to_shape())
    size = (sides[2], sides[3]) if channels_first else (sides[1], sides[2])
    inner = sizes.find_inner_size(model, port, channels_first=channels_first)
    near = [inner] if inner else sizes.find_nearest_fits(model, port, size, channels_first=channels_first)
    words = "the size fixed inside" if inner else "the nearest that fit"
    return f"; {words}: {sizes.list_sizes(near)}" if near else ""


def _fix_inner_size(model: ov.Model, path: Path) -> None:
    """Set the input's size, in place, to the one that is fixed inside the graph, if the input takes any size."""
    port = model.input(0)
    given = port.get_partial_shape()
    if not (given.rank.is_dynamic or (len(given) == 4 and given.is_dynamic)):
        return
    channels_first = guess_channels_first(port, path)
    inner = sizes.find_inner_size(model, port, channels_first=channels_first)
    if inner:
        model.reshape({0: sizes.set_size(port, inner, channels_first=channels_first)})


def guess_channels_first(port: ov.Output, path: Path) -> bool:
    """Return whether channels come before rows, from the shape, or else from the convention of the file's format."""
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != 4:
        return path.suffix.lower() == ".onnx"
    first, last = (side.is_static and side.get_length() in _PICTURE_CHANNELS for side in (shape[1], shape[3]))
    return first if first != last else path.suffix.lower() == ".onnx"


def _set_types(model: ov.Model, path: Path, inputs: Sequence[InputRequest]) -> ov.Model:
    asked = [(request, find_input(model, request.name, path)) for request in inputs if request.kind]
    if not asked:
        return model
    processor = PrePostProcessor(model)
    for request, port in asked:
        processor.input(model_index(model, port)).tensor().set_element_type(getattr(ov.Type, request.kind))
    with translate_errors(path, f"with inputs of {', '.join(request.kind for request, _ in asked)}"):
        return processor.build()


def preprocess(model: ov.Model, path: Path, wanted: Preprocessing) -> ov.Model:
    """Return the same graph with the preprocessing built in. Raises InputError if an input doesn't allow it."""
    if wanted == Preprocessing():
        return model
    processor = PrePostProcessor(model)
    for name in {*wanted.mean, *wanted.scale}:
        find_input(model, name, path)
    known = {name for port in (*model.inputs, *model.outputs) for name in list_names(port)}
    for name in wanted.layouts:
        if not name:
            find_input(model, name, path)
        elif name not in known:
            raise InputError(f"{path}: --layout: has no input or output {name}{did_you_mean(name, sorted(known))}")
    _preprocess_inputs(processor, model, path, wanted)
    for name, (layout, target) in wanted.layouts.items():
        for number, port in enumerate(model.outputs):
            if name in list_names(port):
                processor.output(number).model().set_layout(ov.Layout(layout))
                processor.output(number).tensor().set_layout(ov.Layout(target or layout))
    with translate_errors(path, "with this preprocessing"):
        return processor.build()


def _preprocess_inputs(processor: PrePostProcessor, model: ov.Model, path: Path, wanted: Preprocessing) -> None:
    for number, port in enumerate(model.inputs):
        names = list_names(port) | ({""} if len(model.inputs) == 1 else set())
        mean, scale = _pick(wanted.mean, names, ()), _pick(wanted.scale, names, ())
        if (mean or scale) and not port.get_element_type().is_real():
            kind, name = port.get_element_type().get_type_name(), port.get_node().get_friendly_name()
            raise InputError(f"{path}: input {name} takes {kind}, but mean and scale need floats; omit them")
        layout = _set_layout(processor.input(number), port, path, _pick(wanted.layouts, names, ("", "")))
        steps = processor.input(number).preprocess()
        if wanted.reverse_channels and layout:
            steps.reverse_channels()
        for flag, numbers, step in (("--mean_values", mean, steps.mean), ("--scale_values", scale, steps.scale)):
            channels = _count_channels(port, layout)
            if numbers and len(numbers) not in (1, channels):
                raise InputError(f"{path}: {flag}: expected {channels} numbers, one a channel, received {len(numbers)}")
            if numbers:
                step(numbers[0] if len(numbers) == 1 else list(numbers))


def _pick(table: Mapping[str, Wanted], names: set[str], default: Wanted) -> Wanted:
    return next((value for name, value in table.items() if name in names), default)


def _set_layout(entry: "ov.preprocess.InputInfo", port: ov.Output, path: Path, wanted: tuple[str, str]) -> str:
    """Set the layouts of the graph's input and of the IR's; return the former.

    They are those requested, or by default those of pictures.
    """
    layout, target = wanted
    shape = port.get_partial_shape()
    if not layout and not shape.rank.is_dynamic and len(shape) == 4:
        layout = "NCHW" if guess_channels_first(port, path) else "NHWC"
    if layout:
        entry.model().set_layout(ov.Layout(layout))
        entry.tensor().set_layout(ov.Layout(target or layout))
    return layout


def _count_channels(port: ov.Output, layout: str) -> int:
    shape = port.get_partial_shape()
    axis = layout.find("C")
    if shape.rank.is_dynamic or axis < 0 or axis >= len(shape) or shape[axis].is_dynamic:
        return 3
    return int(shape[axis].get_length())
