"""Milliseconds of each layer of a graph, as OpenVINO's own counters measure them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte_workbench.configuration import reconfigure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes import openvino

Key = tuple[str, str, str]  # name, kind, and what ran it: ``brgconv_avx512_i8``


def time_layers(
    path: Path, configuration: Configuration, values: Sequence[np.ndarray], *, runs: int
) -> dict[Key, list[float]]:
    """Milliseconds of each layer that ran, in the order of execution, one list entry for each of the ``runs``.

    One inference at a time, on one stream: with several, layers wait for each other's memory and take longer.
    Raises MachineError where the device can't run the graph, or doesn't count.
    """
    if not values or runs < 1:
        raise InputError(f"profile: expected pictures and runs, received {len(values)} and {runs}")
    request = _compile(path, configuration).create_infer_request()
    found: dict[Key, list[float]] = {}
    for run in range(-1, runs):  # the first one allocates memory and isn't counted
        request.infer({0: values[run % len(values)]}, share_inputs=True)
        for layer in request.profiling_info if run >= 0 else ():
            if layer.status == ov.ProfilingInfo.Status.EXECUTED:
                key = (layer.node_name, layer.node_type, layer.exec_type)
                found.setdefault(key, []).append(layer.real_time.total_seconds() * 1000)
    if not found:
        raise MachineError(f"{configuration.device} doesn't say what its layers take")
    return found


def read_precision(path: Path, configuration: Configuration) -> str:
    """The floating point precision in which the compiled graph says it computes: f32, bf16 or f16."""
    kind = _compile(path, configuration).get_property("INFERENCE_PRECISION_HINT")
    return str(kind.get_type_name())


def _compile(path: Path, configuration: Configuration) -> ov.CompiledModel:
    alone = reconfigure(configuration, hint="latency", streams=1)
    return openvino.compile_model(openvino.read(path), alone, path.name, counting=True)
