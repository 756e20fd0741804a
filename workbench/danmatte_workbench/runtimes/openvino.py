"""OpenVINO: reading, writing and running its graphs. How others become such is in `conversion`."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte_workbench.artifact import Artifact, Port, digest, graph_files
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.normalisation import Normalisation
from danmatte_workbench.runtimes import conversion
from danmatte_workbench.runtimes.conversion import convert, cut

__all__ = [
    "Pipeline",
    "compile_",
    "convert",
    "cut",
    "describe",
    "feeding_runner",
    "precisions",
    "read",
    "runner",
    "runner_of_all",
    "save",
    "source_runner",
    "versions",
]


def read(path: Path) -> ov.Model:
    """The IR at ``path``."""
    with conversion.translated(path):
        return ov.Core().read_model(path)


def save(model: ov.Model, path: Path) -> Artifact:
    """Write the IR in the precision it has, and describe it."""
    conversion.number_names(model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        ov.save_model(model, path, compress_to_fp16=False)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path}: can't be written ({error})") from error
    return describe(path)


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
    return _compiled(read(path), configuration, path.name)


def _compiled(model: ov.Model, configuration: Configuration, name: str) -> ov.CompiledModel:
    properties: dict[str, Any] = {
        "PERFORMANCE_HINT": configuration.hint.upper(),
        "INFERENCE_PRECISION_HINT": configuration.precision,
    }
    if configuration.streams:
        properties["NUM_STREAMS"] = configuration.streams
    if configuration.threads:
        properties["INFERENCE_NUM_THREADS"] = configuration.threads
    try:
        return ov.Core().compile_model(model, configuration.device, properties)
    except RuntimeError as error:
        raise MachineError(f"{configuration.device} can't run {name}: {str(error).splitlines()[-1]}") from error


def runner(path: Path, configuration: Configuration) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the graph's input to its first output, one picture at a time."""
    request = compile_(path, configuration).create_infer_request()
    return lambda value: request.infer({0: value}, share_inputs=True)[0]


def runner_of_all(path: Path, configuration: Configuration) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A function from the graph's input to all its outputs, one picture at a time."""
    return _all_of(compile_(path, configuration))


def source_runner(
    path: Path,
    configuration: Configuration,
    *,
    shape: tuple[int, ...],
    normalisation: Normalisation | None = None,
    answers: Sequence[str] = (),
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A function from (1, H, W, 3) uint8 pictures to the source graph's answers, as `convert` gives the graph."""
    model = convert(path, shape=shape, normalisation=normalisation, answers=answers)
    return _all_of(_compiled(model, configuration, path.name))


def feeding_runner(path: Path, port: str, shape: tuple[int, ...]) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A function from (1, H, W, 3) uint8 pictures of ``shape`` to what feeds the input port, channels last."""
    return _all_of(_compiled(conversion.before(path, port, shape), configure(), path.name))


def _all_of(compiled: ov.CompiledModel) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def run(value: np.ndarray) -> tuple[np.ndarray, ...]:
        results = request.infer({0: value}, share_inputs=True)
        return tuple(results[number] for number in range(count))

    return run


class Pipeline:
    """Several pictures in flight, answers in the order of completion."""

    def __init__(self, path: Path, configuration: Configuration) -> None:
        self._compiled = compile_(path, configuration)
        self._queue = ov.AsyncInferQueue(self._compiled, configuration.infer_requests)

    def run(self, values: Iterable[np.ndarray], done: Callable[[np.ndarray], None]) -> None:
        """Feed all ``values``; ``done`` gets each first output on an inference thread, and must copy to keep it."""
        self._queue.set_callback(lambda request, _: done(request.get_output_tensor(0).data))
        held: dict[int, np.ndarray] = {}  # what is shared must live until its request has ended
        for value in values:
            held[self._queue.get_idle_request_id()] = value
            self._queue.start_async({0: value}, share_inputs=True)
        self._queue.wait_all()


def precisions() -> tuple[str, ...]:
    """The floating point precisions this CPU computes in."""
    capabilities = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name.lower().replace("fp", "f") for name in ("FP32", "BF16", "FP16") if name in capabilities)


def versions() -> dict[str, str]:
    """The library's version, by name."""
    return {"openvino": ov.__version__.split("-")[0]}
