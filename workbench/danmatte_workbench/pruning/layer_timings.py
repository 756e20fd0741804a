"""Layer timings for pruning: the time of a graph's convolutions in 8 bits, whatever their present precision."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte_workbench import hardware
from danmatte_workbench.cache import write_cached
from danmatte_workbench.configuration import configure
from danmatte_workbench.runtimes import nncf
from danmatte_workbench.runtimes.openvino import compile_model

CALIBRATION = 8  # pictures; a few are enough, because ranges don't affect the time
ROUNDS, WARM_UP = 14, 2


def time_layers(model: ov.Model, pictures: Sequence[np.ndarray]) -> dict[str, float]:
    """Return the minimum milliseconds of each node of a quantized copy on one thread, by its name in ``model``.

    The minimum over several rounds is used, because disturbances only add time.
    """
    quantized = nncf.quantize(model.clone(), pictures[:CALIBRATION])
    request = compile_model(quantized, configure(threads=1), counting=True).create_infer_request()
    times: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        request.infer({0: pictures[number % len(pictures)]})
        if number >= WARM_UP:
            for node in request.profiling_info:
                times.setdefault(node.node_name, []).append(1000 * node.real_time.total_seconds())
    return {name: min(some) for name, some in times.items()}


def load_or_time(model: ov.Model, pictures: Sequence[np.ndarray], digest: str, folder: Path | None) -> dict[str, float]:
    """Return the same, timed once for the graph of that digest on this machine and stored in ``folder``.

    Steps must produce the same graph for the same input, although pruning depends on timings, so they are measured only
    once. folder: None to store nothing. Raises MachineError if the timings can't be stored.
    """
    if folder is None:
        return time_layers(model, pictures)
    facts = json.dumps([digest, hardware.describe_host().cpu, ov.__version__, nncf.read_versions()])
    path = folder / f"layer-timings-{hashlib.sha256(facts.encode()).hexdigest()}.json"
    with suppress(OSError, ValueError):  # there are none yet, or the file is damaged
        stored: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    times = time_layers(model, pictures)
    write_cached(path, json.dumps(times))
    return times
