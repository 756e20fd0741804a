"""Graphs of all formats, and parts of them, as OpenVINO models in memory."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino._offline_transformations import apply_moc_transformations
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    InitializationFailure,
    InputModel,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
    Place,
)
from openvino.tools.ovc.error import Error as ConverterError

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.surgery import straighten_resizes
from danmatte_workbench.graph.trimming import Sketch, anatomy, input_port, name_of, output_port, part, take_uint8, tidy
from danmatte_workbench.normalisation import Normalisation

# The frontends' and the converter's errors aren't RuntimeErrors, as OpenVINO's others are.
_FAILURES = (
    RuntimeError,
    ConverterError,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
_MADE_UP = re.compile(r"(([A-Z]\w*?)_\d+)(/.*)?")


@contextmanager
def translated(path: Path, where: str = "") -> Iterator[None]:
    """Whatever OpenVINO raises inside comes out as an InputError that names the graph at ``path``."""
    try:
        yield
    except _FAILURES as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        said = lines[-1] if lines else str(error)
        raise InputError(f"{path}: OpenVINO can't read it{f' {where}' if where else ''}: {said}") from error


def whole(path: Path, shape: tuple[int, ...]) -> ov.Model:
    """The whole graph, as OpenVINO's own converter gives it, for pictures of ``shape`` (1, H, W, 3).

    Its one input keeps its type and its layout. Raises InputError for a graph that takes no picture.
    """
    return _resized(_loaded(path), path, shape)


def _loaded(path: Path) -> ov.Model:
    with _as_readable(path) as file, translated(path):
        model = ov.convert_model(file) if file.suffix.lower() != ".xml" else ov.Core().read_model(file)
    if len(model.inputs) != 1:
        names = [port.get_node().get_friendly_name() for port in model.inputs]
        raise InputError(f"{path}: expected one input, a picture, found {len(names)}: {', '.join(names)}")
    return model


def _resized(model: ov.Model, path: Path, shape: tuple[int, ...]) -> ov.Model:
    given = model.input(0).get_partial_shape()
    sides = [1, 3, *shape[1:3]] if channels_first(model.input(0), path) else list(shape)
    if given != ov.PartialShape(sides):
        with translated(path, f"at {shape[1]}×{shape[2]} instead of {given}"):
            model.reshape(sides)
    number_names(model)
    return model


def channels_first(port: ov.Output, path: Path) -> bool:
    """Whether a picture's channels come before its rows. Raises InputError for what can't be a picture."""
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
    """The whole graph, fed with (1, H, W, 3) uint8 RGB of ``shape``, its outputs those named ``answers``; all for none.

    ``normalisation`` is what pictures need before the graph's own input.
    """
    model = whole(path, shape)
    ends = [placed(path, output_port, model, name) for name in answers]
    if ends:
        model = ov.Model([ops.result(end) for end in ends], model.get_parameters(), model.get_friendly_name())
    return take_uint8(model, channels_first=channels_first(model.input(0), path), normalisation=normalisation)


def cut(path: Path, *, inputs: str, output: str, shape: tuple[int, ...]) -> ov.Model:
    """The part of a graph from ``inputs`` (``0:node`` for a node's input port) to ``output``, fed with float32 NHWC.

    TensorFlow graphs are cut by their frontend, which still does what the converters gave up, others when converted.
    """
    if path.suffix.lower() not in (".tflite", ".onnx", ".xml"):
        return _cut_frozen(path, inputs, output, shape)
    model = whole(path, shape)
    with translated(path):
        tidy(model)
    number_names(model)
    return placed(path, part, model, inputs, output)


def _cut_frozen(path: Path, inputs: str, output: str, shape: tuple[int, ...]) -> ov.Model:
    with _as_readable(path) as file, translated(path):
        frontend = FrontEndManager().load_by_framework("tf")
        graph = frontend.load(str(file))
        start, end = (_place(graph, place, path) for place in (inputs, output))
        graph.extract_subgraph([start], [end])
        graph.set_partial_shape(start, ov.PartialShape(list(shape)))
        model = frontend.convert(graph)
        if len(model.inputs) > 1:
            others = [port.get_node().get_friendly_name() for port in model.inputs]
            raise InputError(f"{path}: from {inputs} to {output} it needs {' and '.join(others)}; cut elsewhere")
        # Folds SpaceToBatch into dilations, batch norms and padding into the convolutions.
        apply_moc_transformations(model, cf=False)
        if any(node.get_type_name() == "FakeQuantize" for node in model.get_ops()):
            tidy(model)
        straighten_resizes(model)
    return model


@contextmanager
def _as_readable(path: Path) -> Iterator[Path]:
    """A file that OpenVINO reads; SavedModels and Keras files are frozen first."""
    if not path.is_dir() and path.suffix.lower() not in (".keras", ".h5"):
        yield path
        return
    from danmatte_workbench.runtimes import frozen

    with frozen.as_file(path) as file:
        yield file


def placed(path: Path, find: Callable[..., Any], *arguments: Any) -> Any:
    """What ``find`` gives, its InputError with the graph's path in front."""
    try:
        return find(*arguments)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _place(graph: InputModel, name: str, path: Path) -> Place:
    place = graph.get_place_by_tensor_name(name)
    if place is None:
        from danmatte_workbench.runtimes import tensorflow

        known = tensorflow.node_names(path)
        hint = did_you_mean(name.split(":", 1)[-1], known, suggestions=3, cutoff=0.4)
        raise InputError(f"{path}: has no node {name}{hint}")
    return place


def sketch(path: Path, side: int) -> Sketch:
    """What a graph that isn't TensorFlow's says of itself; one that takes any size is asked at ``side``."""
    model = _loaded(path)
    given = model.input(0)
    floats = given.get_element_type().is_real()
    first, fixed = channels_first(given, path), _fixed(given, path)
    model = _resized(model, path, (1, *(fixed or (side, side)), 3))
    picture, answers = name_of(model.input(0)), tuple(name_of(port) for port in model.outputs)
    with translated(path):
        tidy(model)
    number_names(model)
    nodes = anatomy(model)
    decision = nodes.decision()
    scores = tuple(output_port(model, decision).get_node().get_input_shape(0)) if decision else ()
    return Sketch(nodes, picture, floats, first, fixed, answers, scores)


def _fixed(port: ov.Output, path: Path) -> tuple[int, int] | None:
    shape = port.get_partial_shape()
    if shape.rank.is_dynamic:
        return None
    height, width = list(shape)[2:4] if channels_first(port, path) else list(shape)[1:3]
    return (height.get_length(), width.get_length()) if height.is_static and width.is_static else None


def before(path: Path, port: str, shape: tuple[int, ...]) -> ov.Model:
    """The part that feeds the input port, from (1, H, W, 3) uint8 pictures of ``shape``, its answer channels last."""
    model = whole(path, shape)
    with translated(path):
        tidy(model)
    number_names(model)
    target = placed(path, input_port, model, port)
    value = model.input(0) if target is None else target.get_source_output()
    if tuple(value.get_shape())[1:] == (3, *shape[1:3]):
        value = ops.transpose(value, np.array([0, 2, 3, 1])).output(0)
    model = ov.Model([ops.result(value)], model.get_parameters(), "before")
    return take_uint8(model, channels_first=channels_first(model.input(0), path), normalisation=None)


def number_names(model: ov.Model) -> None:
    """Number made-up names (``Transpose_659``) anew: their counter runs on through a process, digests must not."""
    numbers: dict[str, int] = {}
    for node in model.get_ordered_ops():
        made_up = _MADE_UP.fullmatch(node.get_friendly_name())
        if made_up:
            name, kind, rest = made_up.groups()
            node.set_friendly_name(f"{kind}_{numbers.setdefault(name, len(numbers))}{rest or ''}")
