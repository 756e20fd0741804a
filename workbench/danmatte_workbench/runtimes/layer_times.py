"""What each layer of a graph takes, as OpenVINO itself measures it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte_workbench.errors import InputError, MachineError

Key = tuple[str, str, str]  # name, kind, and what ran it: ``brgconv_avx512_i8``


def layer_times(
    path: Path, configuration: Configuration, values: Sequence[np.ndarray], *, runs: int
) -> dict[Key, list[float]]:
    """Milliseconds of each layer that ran, in the order of execution, one list entry a run.

    One inference at a time, on one stream: with several, layers wait for each other's memory and take longer.
    Raises MachineError where the device can't run the graph, or doesn't count.
    """
    if not values or runs < 1:
        raise InputError(f"profile: expected pictures and runs, received {len(values)} and {runs}")
    request = _compiled(path, configuration).create_infer_request()
    found: dict[Key, list[float]] = {}
    for run in range(-1, runs):  # the first one allocates and doesn't count
        request.infer({0: values[run % len(values)]}, share_inputs=True)
        for layer in request.profiling_info if run >= 0 else ():
            if layer.status == ov.ProfilingInfo.Status.EXECUTED:
                key = (layer.node_name, layer.node_type, layer.exec_type)
                found.setdefault(key, []).append(layer.real_time.total_seconds() * 1000)
    if not found:
        raise MachineError(f"{configuration.device} doesn't say what its layers take")
    return found


def computed_in(path: Path, configuration: Configuration) -> str:
    """The floating point precision that the compiled graph says it has: f32, bf16 or f16."""
    kind = _compiled(path, configuration).get_property("INFERENCE_PRECISION_HINT")
    return str(kind.get_type_name())


def _compiled(path: Path, configuration: Configuration) -> ov.CompiledModel:
    properties = {
        "PERF_COUNT": True,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": configuration.precision,
        **({"INFERENCE_NUM_THREADS": configuration.threads} if configuration.threads else {}),
    }
    try:
        model = ov.Core().read_model(path)
    except RuntimeError as error:
        raise InputError(f"{path}: OpenVINO can't read it: {str(error).splitlines()[-1]}") from error
    try:
        return ov.Core().compile_model(model, configuration.device, properties)
    except RuntimeError as error:
        raise MachineError(f"{configuration.device} can't run {path.name}: {str(error).splitlines()[-1]}") from error
