"""What a graph's convolutions take in 8 bits, whatever it computes in now."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte_workbench import hardware
from danmatte_workbench.quantization import nncf

CALIBRATION = 8  # pictures: ranges don't change the time
ROUNDS, WARM_UP = 14, 2
ONE_THREAD = {
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": 1,
    "PERF_COUNT": True,
}


def milliseconds(model: ov.Model, pictures: Sequence[np.ndarray]) -> dict[str, float]:
    """The least time of each node that is executed, on one thread, by its name in ``model``.

    The least of several rounds, because whatever disturbs a round only adds to it.
    """
    quantized = nncf.quantize(model.clone(), pictures[:CALIBRATION])
    request = ov.compile_model(quantized, "CPU", ONE_THREAD).create_infer_request()
    found: dict[str, list[float]] = {}
    for number in range(ROUNDS):
        request.infer({0: pictures[number % len(pictures)]})
        if number >= WARM_UP:
            for node in request.profiling_info:
                found.setdefault(node.node_name, []).append(1000 * node.real_time.total_seconds())
    return {name: min(times) for name, times in found.items()}


def remembered(model: ov.Model, pictures: Sequence[np.ndarray], digest: str, notes: Path | None) -> dict[str, float]:
    """The same, measured once for the graph of that digest on this machine and kept in ``notes``.

    So that the same input gives the same graph, though it depends on a clock.
    """
    if notes is None:
        return milliseconds(model, pictures)
    facts = json.dumps([digest, hardware.host().cpu, ov.__version__, nncf.versions()])
    kept = notes / f"pace-{hashlib.sha256(facts.encode()).hexdigest()}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_suffix(".part")
        unfinished.write_text(json.dumps(milliseconds(model, pictures)), encoding="utf-8")
        unfinished.replace(kept)
    found: dict[str, float] = json.loads(kept.read_text(encoding="utf-8"))
    return found
