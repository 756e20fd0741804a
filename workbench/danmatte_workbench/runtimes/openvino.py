"""OpenVINO: reading, writing, compiling and running graphs. `graph.conversion` converts other formats."""

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openvino as ov
from openvino.frontend import (
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
from openvino.tools.ovc.error import Error as ConverterError

from danmatte.contract.configuration import Configuration
from danmatte_workbench.artifact import Artifact, Port, digest, list_graph_files
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes.causes import explain
from danmatte_workbench.runtimes.core import open_core
from danmatte_workbench.runtimes.devices import to_properties

# Unlike OpenVINO's other exceptions, those of frontends and converter aren't RuntimeErrors.
_FAILURES = (
    RuntimeError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    ConverterError,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
_GENERATED_NAME = re.compile(r"(([A-Z]\w*?)_\d+)(/.*)?")
# Kinds of nodes that transformations fuse into others, which keep names that begin with theirs.
_VANISHING_KINDS = {
    "Add",
    "BatchNormInference",
    "Convert",
    "FakeQuantize",
    "Multiply",
    "Reshape",
    "Subtract",
    "Transpose",
}
F32 = configure(precision="f32")


@contextmanager
def translate_errors(path: Path, where: str = "") -> Iterator[None]:
    """Translate all of OpenVINO's exceptions to an InputError that names the graph at ``path``."""
    try:
        yield
    except _FAILURES as error:
        reason = explain(error)
        raise InputError(f"{path}: OpenVINO can't read it{f' {where}' if where else ''}: {reason}") from error


def read(path: Path) -> ov.Model:
    """Read the IR at ``path``. Raises InputError if it can't be read."""
    with translate_errors(path):
        return open_core().read_model(path)


def save(model: ov.Model, path: Path, *, compressed: bool = False) -> Artifact:
    """Write the graph as IR, in its own precision or ``compressed`` to 16-bit weights, and describe the result.

    Raises InputError if the folder can't be created, and MachineError if the file can't be written.
    """
    renumber_names(model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # OpenVINO's default is to compress float32 weights to float16, so "float32" would be wrong.
        ov.save_model(model, path, compress_to_fp16=compressed)
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{path}: can't be written: {explain(error)}") from error
    except (OSError, RuntimeError) as error:
        raise MachineError(f"{path}: can't be written: {explain(error)}") from error
    return describe(path)


def describe(path: Path) -> Artifact:
    """Return the description of the IR at ``path``: its digest over both files, and its ports."""
    model = read(path)
    inputs, outputs = (
        tuple(
            Port(
                port.get_any_name() if port.get_names() else port.get_node().get_friendly_name(),
                to_shape(port),
                port.get_element_type().get_type_name(),
            )
            for port in ports
        )
        for ports in (model.inputs, model.outputs)
    )
    return Artifact(path, digest(*list_graph_files(path)), inputs, outputs)


def to_shape(port: ov.Output) -> tuple[int, ...]:
    """Return the port's shape as plain numbers, with −1 for dynamic dimensions."""
    return tuple(side.get_length() if side.is_static else -1 for side in port.get_partial_shape())


def renumber_names(model: ov.Model) -> None:
    """Renumber generated names (``Transpose_659``), in place; names from the source, such as ``Relu6_3``, stay.

    The counter of generated names is global to the process. Without renumbering, the same graph would get other names,
    and another digest, when it is created again.
    """
    nodes = model.get_ordered_ops()
    # A generated name begins with the node's kind, and no tensor has it; names from the source are also tensor names.
    kinds = {node.get_type_name() for node in nodes} | _VANISHING_KINDS
    tensors = {name for node in nodes for output in node.outputs() for name in output.get_names()}
    named = {name.partition(":")[0] for name in tensors if not name.startswith("Result_")}
    numbers: dict[str, int] = {}
    for node in nodes:
        generated = _GENERATED_NAME.fullmatch(node.get_friendly_name())
        if generated and generated[2] in kinds and generated[1] not in named:
            name, kind, rest = generated.groups()
            node.set_friendly_name(f"{kind}_{numbers.setdefault(name, len(numbers))}{rest or ''}")
    for port in model.outputs:
        # The name of an output without one is its Result's generated name.
        names = port.get_names()
        if names and all(re.fullmatch(r"Result_\d+", name) for name in names):
            port.get_tensor().set_names({port.get_node().get_friendly_name()})


def compile_file(path: Path, configuration: Configuration) -> ov.CompiledModel:
    """Return the compiled IR at ``path``."""
    return compile_model(read(path), configuration, path.name)


def compile_model(
    model: ov.Model, configuration: Configuration = F32, name: str = "the graph", *, counting: bool = False
) -> ov.CompiledModel:
    """Return the compiled graph; with ``counting``, it also measures the time of each layer.

    Raises MachineError, with the graph's name, if the device can't run it.
    """
    properties = {**to_properties(configuration), **({"PERF_COUNT": True} if counting else {})}
    try:
        return open_core().compile_model(model, configuration.device, properties)
    except RuntimeError as error:
        raise MachineError(f"{configuration.device} can't run {name}: {explain(error)}") from error


def make_runner(path: Path, configuration: Configuration) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from the graph's input to its first output, for one picture at a time.

    The next call overwrites the output, so copy it to keep it.
    """
    request = compile_file(path, configuration).create_infer_request()
    return lambda value: request.infer({0: value}, share_inputs=True)[0]


def make_runner_of_all(compiled: ov.CompiledModel) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Return a function from the compiled graph's input to all its outputs, for one picture at a time.

    The next call overwrites the outputs, so copy them to keep them.
    """
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def run(value: np.ndarray) -> tuple[np.ndarray, ...]:
        results = request.infer({0: value}, share_inputs=True)
        return tuple(results[number] for number in range(count))

    return run


class Pipeline:
    """Concurrent inference of several pictures; outputs arrive in the order of completion."""

    def __init__(self, path: Path, configuration: Configuration) -> None:
        self._compiled = compile_file(path, configuration)
        self._queue = ov.AsyncInferQueue(self._compiled, configuration.infer_requests)

    def run(self, values: Iterable[np.ndarray], done: Callable[[np.ndarray], None]) -> list[float]:
        """Process all ``values``; return the milliseconds of each, from the start of its inference to its end.

        ``done`` is called with each first output on an inference thread, and must copy it to keep it.
        """
        took_ms: list[float] = []

        def end(request: ov.InferRequest, started: float) -> None:
            done(request.get_output_tensor(0).data)
            took_ms.append(1000 * (time.perf_counter() - started))

        self._queue.set_callback(end)
        held: dict[int, np.ndarray] = {}  # values are shared with OpenVINO, so they must live until their request ends
        for value in values:
            held[self._queue.get_idle_request_id()] = value
            self._queue.start_async({0: value}, time.perf_counter(), share_inputs=True)
        self._queue.wait_all()
        return took_ms


def list_precisions() -> tuple[str, ...]:
    """Return the floating point precisions that this CPU computes in: f32, and bf16 and f16 if supported."""
    capabilities = open_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return tuple(name.lower().replace("fp", "f") for name in ("FP32", "BF16", "FP16") if name in capabilities)


def read_versions() -> dict[str, str]:
    """Return the library's version, by name."""
    return {"openvino": ov.__version__.split("-")[0]}


def compute_fingerprint(compiled: ov.CompiledModel) -> str:
    """Return the sha256 over what a compiled graph computes: kinds, precisions and shapes, in order of execution.

    Names are left out, because their numbers may differ between processes.
    """
    lines = []
    for node in compiled.get_runtime_model().get_ordered_ops():
        facts = node.get_rt_info()
        words = (str(facts[key].astype(str)) for key in ("layerType", "runtimePrecision") if key in facts)
        lines.append(" ".join((*words, *(str(port.get_partial_shape()) for port in node.outputs()))))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def copy_answers(compiled: ov.CompiledModel) -> Callable[[np.ndarray], Sequence[np.ndarray]]:
    """Return a function like that of `make_runner_of_all`, but with outputs that aren't overwritten."""
    run = make_runner_of_all(compiled)
    return lambda value: [np.array(answer) for answer in run(value)]
