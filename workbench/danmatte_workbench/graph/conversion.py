"""Conversion of graphs of all formats, or parts of them, to OpenVINO graphs in memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.frontend import FrontEndManager
from openvino.preprocess import ColorFormat, PrePostProcessor

from danmatte.contract.configuration import Configuration
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import sizes
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.graph.cleanup import clean_up, optimize_frozen
from danmatte_workbench.graph.layers import NCHW_TO_NHWC, extract
from danmatte_workbench.graph.opening import is_tensorflow, load_whole, open_readable
from danmatte_workbench.graph.ports import extract_part, find_input_port, find_output, pick_name
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.runtimes.openvino import (
    F32,
    compile_model,
    make_runner_of_all,
    renumber_names,
    translate_errors,
)

RunAll = Callable[[np.ndarray], tuple[np.ndarray, ...]]


@contextmanager
def name_graph(path: Path) -> Iterator[None]:
    """Put the graph's path in front of an InputError's message."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def load(path: Path, shape: tuple[int, ...]) -> ov.Model:
    """Return the whole graph from OpenVINO's own converter, for pictures of ``shape`` (1, H, W, 3).

    Its only input keeps its type and layout. Raises InputError for a graph that doesn't take a picture.
    """
    return _reshape_input(_load_as_is(path), path, shape)


def _load_as_is(path: Path) -> ov.Model:
    model = load_whole(path)
    if len(model.inputs) != 1:
        names = [port.get_node().get_friendly_name() for port in model.inputs]
        raise InputError(f"{path}: expected one input, a picture, found {len(names)}: {', '.join(names) or 'none'}")
    return model


def _reshape_input(model: ov.Model, path: Path, shape: tuple[int, ...]) -> ov.Model:
    given = model.input(0).get_partial_shape()
    sides = [1, 3, *shape[1:3]] if has_channels_first(model.input(0), path) else list(shape)
    if given != ov.PartialShape(sides):
        with translate_errors(path, f"at {shape[1]}×{shape[2]} instead of {given}"):
            model.reshape(sides)
    renumber_names(model)
    return model


def has_channels_first(port: ov.Output, path: Path) -> bool:
    """Return whether a picture's channels come before its rows.

    If the shape doesn't tell, only ONNX graphs have channels first. Raises InputError for an input that can't be a
    picture.
    """
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return path.suffix.lower() == ".onnx"
    sides = [side.get_length() if side.is_static else -1 for side in shape]
    if len(sides) != 4 or not {sides[1], sides[3]} & {3, -1}:
        raise InputError(f"{path}: expected a picture of three channels as input, found {shape}")
    if (sides[1] == 3) != (sides[3] == 3):
        return sides[1] == 3
    return path.suffix.lower() == ".onnx"


def convert(
    path: Path,
    *,
    shape: tuple[int, ...],
    normalisation: Normalisation | None = None,
    answers: Sequence[str] = (),
) -> ov.Model:
    """Return the whole graph with an input of (1, H, W, 3) uint8 RGB of ``shape``.

    normalisation: what the graph's own input requires; None for nothing. answers: names of the outputs; empty for all.
    """
    model = load(path, shape)
    with name_graph(path):
        ends = [find_output(model, name) for name in answers]
    if ends:
        model = extract(model, ends, model.get_friendly_name())
    return _take_uint8(model, channels_first=has_channels_first(model.input(0), path), normalisation=normalisation)


def cut(path: Path, *, inputs: str, output: str, shape: tuple[int, ...]) -> ov.Model:
    """Return the part of a graph from ``inputs`` to ``output``, with an input of float32 NHWC.

    ``inputs`` is ``0:node`` for a node's input port. Raises InputError with the nearest names for an unknown place, and
    if the part needs another input.
    """
    if is_tensorflow(path):
        from danmatte_workbench.runtimes import tensorflow

    # OpenVINO's frontend needs a different shape for TensorFlow graphs with channels first.
    if is_tensorflow(path) and tensorflow.read_data_format(path, inputs) != "NCHW":
        return cut_frozen(path, {inputs: ov.PartialShape(list(shape))}, [output])
    model = _load_cleaned(path, shape)
    with name_graph(path):
        return extract_part(model, inputs, output)


def cut_frozen(
    path: Path,
    inputs: Mapping[str, ov.PartialShape | None],
    outputs: Sequence[str],
    *,
    simulated: bool = False,
) -> ov.Model:
    """Return the part of a TensorFlow graph between ``inputs`` and ``outputs``.

    inputs: ports or the graph's own inputs, with their new shapes; None keeps a shape.
    simulated: whether to keep simulated 8-bit quantization instead of converting it to floats.

    OpenVINO's converters no longer support cutting, but its frontend does (`extract_subgraph` at an input port). It
    cuts before it converts, so operations outside the part needn't be supported. Raises InputError with the nearest
    names for an unknown place, and if the part needs another input.
    """
    from danmatte_workbench.runtimes import tensorflow

    with open_readable(path) as file, translate_errors(path):
        frontend = FrontEndManager().load_by_framework("tf")
        graph = frontend.load(str(file))
        places = {name: graph.get_place_by_tensor_name(name) for name in (*inputs, *outputs)}
        for name, place in places.items():
            if place is None:
                known = [node for node, _, _ in tensorflow.read_nodes(path)]
                hint = did_you_mean(name.split(":", 1)[-1], known, suggestions=3, cutoff=0.4)
                raise InputError(f"{path}: has no node {name}{hint}")
        # The frontend doesn't detect the type of ports with 16-bit floats.
        halves = {name for name in inputs if tensorflow.read_port_type(path, name) == "float16"}
        graph.extract_subgraph([places[name] for name in inputs], [places[name] for name in outputs])
        for name, shape in inputs.items():
            if shape is not None:
                graph.set_partial_shape(places[name], shape)
            if name in halves:
                graph.set_element_type(places[name], ov.Type.f16)
        model = frontend.convert(graph)
        if len(model.inputs) > len(inputs):
            names = [port.get_node().get_friendly_name() for port in model.inputs]
            others = [name for name in names if name not in inputs]
            raise InputError(
                f"{path}: the part from {' and '.join(inputs)} to {' and '.join(outputs)} also needs "
                f"{' and '.join(others)}; cut elsewhere"
            )
        optimize_frozen(model, simulated=simulated)
    if not halves:
        return model
    processor = PrePostProcessor(model)
    for number in range(len(model.inputs)):
        processor.input(number).tensor().set_element_type(ov.Type.f32)
    return processor.build()


def _load_cleaned(path: Path, shape: tuple[int, ...]) -> ov.Model:
    """Return the cleaned graph, in which places are looked up; its names don't depend on earlier conversions."""
    model = load(path, shape)
    with translate_errors(path):
        clean_up(model)
    renumber_names(model)
    return model


def _take_uint8(model: ov.Model, *, channels_first: bool, normalisation: Normalisation | None) -> ov.Model:
    """Return the same graph with (1, H, W, 3) uint8 RGB input; it converts type, layout and normalisation itself."""
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


def choose_size(path: Path, wanted: tuple[int, int] | None, default: tuple[int, int]) -> tuple[tuple[int, int], str]:
    """Call `sizes.choose_size` for the graph at ``path``, whose only input takes pictures of any size."""
    model = _load_as_is(path)
    port = model.input(0)
    known = not port.get_partial_shape().rank.is_dynamic
    with name_graph(path):
        channels_first = has_channels_first(port, path) if known else path.suffix.lower() == ".onnx"
        return sizes.choose_size(model, wanted, default, channels_first=channels_first)


@dataclass(frozen=True)
class Sketch:
    """The facts about a graph that are needed to cut it.

    picture, answers: its input and outputs.
    floats, channels_first: the type and layout of the input.
    fixed: its (height, width), or None if it isn't fixed.
    scores: the shape of the scores that the graph decides by; empty without a decision.
    """

    anatomy: Anatomy
    picture: str
    floats: bool
    channels_first: bool
    fixed: tuple[int, int] | None
    answers: tuple[str, ...]
    scores: tuple[int, ...]


def sketch(path: Path, side: int, wanted: tuple[int, int] | None = None) -> Sketch:
    """Return the sketch of a graph of another format than TensorFlow's.

    A graph that takes any size is analysed for pictures of a suitable size: the ``wanted`` one, or one close to
    ``side``.
    """
    model = _load_as_is(path)
    given = model.input(0)
    floats, channels_first = given.get_element_type().is_real(), has_channels_first(given, path)
    fixed = None
    if not given.get_partial_shape().rank.is_dynamic:
        height, width = list(given.get_partial_shape())[2:4] if channels_first else list(given.get_partial_shape())[1:3]
        if height.is_static and width.is_static:
            fixed = (height.get_length(), width.get_length())
    size = fixed or choose_size(path, wanted, (side, side))[0]
    model = _reshape_input(model, path, (1, *size, 3))
    picture, answers = pick_name(model.input(0)), tuple(pick_name(port) for port in model.outputs)
    with translate_errors(path):
        clean_up(model)
    renumber_names(model)
    anatomy = Anatomy.from_openvino(model)
    decision = anatomy.find_decision()
    scores = tuple(find_output(model, decision).get_node().get_input_shape(0)) if decision else ()
    return Sketch(anatomy, picture, floats, channels_first, fixed, answers, scores)


def make_source_runner(
    path: Path,
    configuration: Configuration,
    *,
    shape: tuple[int, ...],
    normalisation: Normalisation | None = None,
    answers: Sequence[str] = (),
) -> RunAll:
    """Return a function from (1, H, W, 3) uint8 pictures to the outputs of the source graph, converted by `convert`."""
    model = convert(path, shape=shape, normalisation=normalisation, answers=answers)
    return make_runner_of_all(compile_model(model, configuration, path.name))


def make_feeding_runner(path: Path, port: str, shape: tuple[int, ...]) -> RunAll:
    """Return a function from (1, H, W, 3) uint8 pictures to the values at the input port, channels last."""
    model = _load_cleaned(path, shape)
    with name_graph(path):
        target = find_input_port(model, port)
    value = model.input(0) if target is None else target.get_source_output()
    if tuple(value.get_shape())[1:] == (3, *shape[1:3]):
        value = ops.transpose(value, np.array(NCHW_TO_NHWC)).output(0)
    model = extract(model, [value], "before")
    model = _take_uint8(model, channels_first=has_channels_first(model.input(0), path), normalisation=None)
    return make_runner_of_all(compile_model(model, F32, path.name))
