"""Time of each layer of a graph, measured by OpenVINO's own counters."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte_workbench.configuration import reconfigure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes import openvino

HEAVY = ("Convolution", "Deconvolution", "FullyConnected", "MatMul")  # kinds of layers that multiply by weights
Key = tuple[str, str, str]  # name, kind, and the kernel that ran it, such as ``brgconv_avx512_i8``


def time_layers(
    path: Path, configuration: Configuration, values: Sequence[np.ndarray], *, runs: int
) -> dict[Key, list[float]]:
    """Return the milliseconds of each executed layer, in order of execution, with one entry for each of the ``runs``.

    Inferences run one at a time on one stream. With several streams, layers compete for memory and take longer. Raises
    MachineError if the device can't run the graph, or doesn't measure layers.
    """
    if not values or runs < 1:
        raise InputError(f"profile: expected pictures and runs, received {len(values)} and {runs}")
    request = _compile(path, configuration).create_infer_request()
    found: dict[Key, list[float]] = {}
    for run in range(-1, runs):  # the first run allocates memory, so it isn't counted
        request.infer({0: values[run % len(values)]}, share_inputs=True)
        for layer in request.profiling_info if run >= 0 else ():
            if layer.status == ov.ProfilingInfo.Status.EXECUTED:
                key = (layer.node_name, layer.node_type, layer.exec_type)
                found.setdefault(key, []).append(layer.real_time.total_seconds() * 1000)
    if not found:
        raise MachineError(f"{configuration.device} doesn't measure the time of layers")
    return found


@dataclass(frozen=True)
class LayerFacts:
    """The work of a layer.

    operations: multiplications and additions.
    size_bytes: bytes that it reads and writes.
    kernel: its weights' shape; empty without weights.
    stays_float: why it doesn't compute in 8 bits where other layers do; empty otherwise.
    """

    operations: int
    size_bytes: int
    kernel: tuple[int, ...] = ()
    stays_float: str = ""


def describe_layers(path: Path, configuration: Configuration) -> dict[str, LayerFacts]:
    """Return the facts of each layer of the compiled graph, by its name there, in order of execution."""
    layers = [node for node in _compile(path, configuration).get_runtime_model().get_ordered_ops() if node.inputs()]
    kinds = {node.get_friendly_name(): str(node.get_rt_info()["layerType"].astype(str)) for node in layers}
    quantized = any(is_8_bits(node) for node in layers if kinds[node.get_friendly_name()] in HEAVY)
    found = {}
    for node in layers:
        kind, reason = kinds[node.get_friendly_name()], ""
        kernel = _read_shape(node.input(1)) if kind in HEAVY and len(node.inputs()) > 1 else ()
        answer = _read_shape(node.output(0)) if node.outputs() else (0,)
        made = math.prod(answer)
        places = math.prod(answer[2:]) if kernel and kind == "Convolution" else 1
        operations = 2 * math.prod(kernel) * places if kernel else made
        if quantized and not is_8_bits(node):
            reason = "its weights weren't quantized" if kernel else f"there is no 8-bit kernel for {kind}"
        ports = (*node.inputs(), *node.outputs())
        size = sum(math.prod(_read_shape(port)) * port.get_element_type().size for port in ports)
        found[node.get_friendly_name()] = LayerFacts(operations, size, kernel, reason)
    return found


def _read_shape(port: ov.Input | ov.Output) -> tuple[int, ...]:
    """Return the port's shape; sides unknown before the graph runs, such as a detector's results, count as 0."""
    return tuple(side.get_length() if side.is_static else 0 for side in port.get_partial_shape())


def is_8_bits(node: ov.Node) -> bool:
    """Return whether the layer of a compiled graph computes in 8 bits."""
    return str(node.get_rt_info()["primitiveType"].astype(str)).lower().endswith(("_i8", "_u8"))


def read_precision(path: Path, configuration: Configuration) -> str:
    """Return the floating point precision that the compiled graph reports: f32, bf16 or f16."""
    kind = _compile(path, configuration).get_property("INFERENCE_PRECISION_HINT")
    return str(kind.get_type_name())


def _compile(path: Path, configuration: Configuration) -> ov.CompiledModel:
    alone = reconfigure(configuration, hint="latency", streams=1)
    return openvino.compile_model(openvino.read(path), alone, path.name, counting=True)
