"""OpenVINO: reading, cutting, writing and running its graphs. What is done inside a graph is in `surgery`."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
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

from workbench.artifact import Artifact, Port, digest, graph_files
from workbench.backends.surgery import straighten_resizes
from workbench.configuration import Configuration
from workbench.errors import InputError, MachineError

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
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except _FAILURES as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{path}: OpenVINO can't read it: {lines[-1] if lines else error}") from error


def convert(path: Path, *, shape: tuple[int, ...]) -> ov.Model:
    """The whole graph, as OpenVINO's own converter gives it, its one input fixed to ``shape``."""
    with _translated(path):
        model = ov.convert_model(path)
        model.reshape(list(shape))
    return model


def cut(path: Path, *, inputs: str, output: str, shape: tuple[int, ...]) -> ov.Model:
    """The part of a frozen graph from ``inputs`` (``0:node`` for a node's input port) to ``output``.

    The frontend API still does what the converters gave up.
    """
    with _translated(path):
        frontend = FrontEndManager().load_by_framework("tf")
        graph = frontend.load(str(path))
    start, end = (_place(graph, place, path) for place in (inputs, output))
    with _translated(path):
        graph.extract_subgraph([start], [end])
        graph.set_partial_shape(start, ov.PartialShape(list(shape)))
        model = frontend.convert(graph)
        if len(model.inputs) > 1:
            others = [port.get_node().get_friendly_name() for port in model.inputs]
            raise InputError(f"{path}: from {inputs} to {output} it needs {' and '.join(others)}; cut elsewhere")
        # Folds SpaceToBatch into dilations, batch norms and padding into the convolutions.
        apply_moc_transformations(model, cf=False)
        straighten_resizes(model)
    return model


def _place(graph: InputModel, name: str, path: Path) -> Place:
    place = graph.get_place_by_tensor_name(name)
    if place is None:
        from workbench.backends import tensorflow

        known = tensorflow.node_names(path)
        near = difflib.get_close_matches(name.split(":", 1)[-1], known, n=3, cutoff=0.4)
        raise InputError(f"{path}: has no node {name}; the nearest are {', '.join(near) or known[:3]}")
    return place


def read(path: Path) -> ov.Model:
    """The IR at ``path``."""
    with _translated(path):
        return ov.Core().read_model(path)


def save(model: ov.Model, path: Path) -> Artifact:
    """Write the IR in the precision it has, and describe it."""
    _number_names(model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ov.save_model(model, path, compress_to_fp16=False)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: can't be written ({error})") from error
    return describe(path)


def _number_names(model: ov.Model) -> None:
    """Number made-up names (``Transpose_659``) anew: their counter runs on through a process, digests must not."""
    numbers: dict[str, int] = {}
    for node in model.get_ordered_ops():
        made_up = _MADE_UP.fullmatch(node.get_friendly_name())
        if made_up:
            name, kind, rest = made_up.groups()
            node.set_friendly_name(f"{kind}_{numbers.setdefault(name, len(numbers))}{rest or ''}")


def describe(path: Path) -> Artifact:
    """The artifact at ``path``: its digest and ports."""
    model = read(path)
    inputs, outputs = (tuple(_port(port) for port in ports) for ports in (model.inputs, model.outputs))
    return Artifact(path, digest(*graph_files(path)), inputs, outputs)


def _port(port: ov.Output) -> Port:
    shape = port.get_partial_shape()
    sizes = tuple(dimension.get_length() if dimension.is_static else -1 for dimension in shape)
    name = port.get_any_name() if port.get_names() else port.get_node().get_friendly_name()
    return Port(name, sizes, port.get_element_type().get_type_name())


def compile_(path: Path, configuration: Configuration) -> ov.CompiledModel:
    """The graph ready to run. Precision is always said: the CPU plugin would pick bf16 silently where it has it."""
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": configuration.hint.upper(),
        "INFERENCE_PRECISION_HINT": configuration.precision,
    }
    if configuration.streams:
        properties["NUM_STREAMS"] = configuration.streams
    if configuration.threads:
        properties["INFERENCE_NUM_THREADS"] = configuration.threads
    try:
        return ov.Core().compile_model(read(path), configuration.device, properties)
    except RuntimeError as error:
        raise MachineError(f"{configuration.device} can't run {path.name}: {str(error).splitlines()[-1]}") from error


def runner(path: Path, configuration: Configuration) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the graph's input to its first output, one picture at a time."""
    request = compile_(path, configuration).create_infer_request()
    return lambda value: request.infer({0: value}, share_inputs=True)[0]


class Pipeline:
    """Several pictures in flight, answers in the order of completion."""

    def __init__(self, path: Path, configuration: Configuration) -> None:
        self._compiled = compile_(path, configuration)
        self._queue = ov.AsyncInferQueue(self._compiled, configuration.infer_requests)

    def run(self, values: Iterable[np.ndarray], done: Callable[[np.ndarray], None]) -> None:
        """Feed all ``values``; ``done`` gets each first output on an inference thread, and must copy to keep it."""
        self._queue.set_callback(lambda request, _: done(request.get_output_tensor(0).data))
        for value in values:
            self._queue.start_async({0: value}, share_inputs=True)
        self._queue.wait_all()


def precisions() -> tuple[str, ...]:
    """The floating point precisions this CPU computes in."""
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name.lower().replace("fp", "f") for name in ("FP32", "BF16", "FP16") if name in capabilities)


def versions() -> dict[str, str]:
    """The library's version, by name."""
    return {"openvino": ov.__version__.split("-")[0]}
