"""Overhead of serving: CPU time of a frame compared with its parts alone, and V2 compared with OpenVINO's benchmark.

Measured at capacity, by callers that take almost no CPU time, and enough of them to keep the queue filled.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2

from danmatte.contract.cores import count_cores
from load.callers import mattes
from load.frames import jpegs
from load.scaling import newest, v2_of
from load.server import ROOT, Server, served
from load.wire import run_bare

_CALLERS = 4  # minimum number per core


def run(options: Namespace) -> dict[str, Any]:
    """Measure both sides in alternating rounds; CPU time is little affected by other load on the machine."""
    parts = Parts(options)
    with served(options.models) as server:
        costs = [_round(parts, server, options) for _ in range(options.rounds)]
        throughput = [_against_benchmark_app(server, options) for _ in range(options.rounds)]
    ratio = statistics.median(cost["served_ms"] / cost["alone_ms"] for cost in costs)
    in_order = statistics.median(cost["served_ms"] / cost["in_order_ms"] for cost in costs)
    share = statistics.median(found["v2_per_s"] / found["benchmark_app_per_s"] for found in throughput)
    print(
        f"  CPU of a served frame over its parts alone: {ratio:.3f}, in order: {in_order:.3f}; "
        f"V2 over benchmark_app: {share:.3f}"
    )
    return {
        "cpu_ratio": ratio,
        "in_order_ratio": in_order,
        "cpu": costs,
        "v2_share": share,
        "v2": throughput,
        "exit_code": server.exit_code,
    }


class Parts:
    """Decode, resize, infer and encode as in the service, without anything in between."""

    def __init__(self, options: Namespace) -> None:
        from danmatte.codecs import find_decoder
        from danmatte.contract import artifact
        from danmatte.contract.framing import Framing
        from danmatte.engine.compilation import open_core
        from danmatte.frame import Frame, Size
        from danmatte.inference.matting import MaskOptions, list_maps, paint

        cv2.setNumThreads(1)
        folder = newest(options)
        found = artifact.read_version(options.models, options.model, int(folder.name))
        manifest, core = found.manifest, open_core()
        properties = {
            "INFERENCE_PRECISION_HINT": manifest.configuration.precision,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # as in the service's lanes
        }
        request = core.compile_model(
            core.read_model(found.graph, found.weights), "CPU", properties
        ).create_infer_request()
        bodies, wanted = jpegs(options.frames), MaskOptions("png", Size(180, 320), 0.5)
        size, framing = Size(720, 1280), Framing.of(manifest)
        scaled = framing.scale_size(size)
        decoder = find_decoder("image/jpeg", bodies[0])
        headers = [decoder.read_header(body, None) for body in bodies]
        pixels = [
            decoder.decode(body, header, manifest.picture.colour, scaled)
            for body, header in zip(bodies, headers, strict=True)
        ]
        inputs = [framing.fit(Frame(each, size)) for each in pixels]
        values = [request.infer({0: each})[0].copy() for each in inputs]
        self._phases: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
            "decode": (
                lambda body: decoder.decode(body, headers[0], manifest.picture.colour, scaled),
                bodies,
            ),
            "resize": (lambda each: framing.fit(Frame(each, size)), pixels),
            "infer": (lambda each: request.infer({0: each}, share_inputs=True, share_outputs=True), inputs),
            "encode": (lambda each: paint(wanted, list_maps(manifest, (), size, (each,)), size, [manifest]), values),
        }

    def measure(self, repeats: int) -> dict[str, float]:
        """Return the CPU milliseconds of each part per frame."""
        return {name: _cpu_ms(work, items, repeats) for name, (work, items) in self._phases.items()}

    def in_order(self, repeats: int) -> float:
        """Return the CPU milliseconds of a frame through all parts in order, so that they compete for CPU caches."""
        frames = [
            [(work, items[number]) for work, items in self._phases.values()]
            for number in range(len(self._phases["decode"][1]))
        ]
        started = time.process_time()
        for _ in range(repeats):
            for frame in frames:
                for work, item in frame:
                    work(item)
        return 1000 * (time.process_time() - started) / (repeats * len(frames))


def _cpu_ms(work: Callable[[Any], object], items: Sequence[Any], repeats: int) -> float:
    started = time.process_time()
    for _ in range(repeats):
        for item in items:
            work(item)
    return 1000 * (time.process_time() - started) / (repeats * len(items))


def _round(parts: Parts, server: Server, options: Namespace) -> dict[str, Any]:
    repeats = max(1, options.repeats)
    alone, in_order_ms = parts.measure(repeats), parts.in_order(repeats)
    target = mattes(server.address, jpegs(options.frames))
    before = server.cpu_s()
    tally = run_bare(target, _callers(options), options.seconds / options.rounds)
    served_ms = 1000 * (server.cpu_s() - before) / max(1, len(tally.times_ms))
    total = sum(alone.values())
    print(
        f"  alone {total:.2f} ms, in order {in_order_ms:.2f}, served {served_ms:.2f} ms of CPU a frame: "
        f"{served_ms / total:.3f}, {served_ms / in_order_ms:.3f}"
    )
    return {"alone_ms": total, "in_order_ms": in_order_ms, "parts_ms": alone, "served_ms": served_ms, **tally.facts()}


def _callers(options: Namespace) -> int:
    return max(int(options.connections), _CALLERS * count_cores())


def _against_benchmark_app(server: Server, options: Namespace) -> dict[str, float]:
    seconds = max(2.0, options.seconds / options.rounds)
    tally = run_bare(v2_of(server, options), _callers(options), seconds)
    own = _benchmark_app(newest(options), options.frames, seconds)
    print(f"  V2 {tally.per_s:.1f}/s, benchmark_app {own:.1f}/s: {tally.per_s / own:.3f}")
    return {"v2_per_s": tally.per_s, "benchmark_app_per_s": own, "v2_p99_ms": tally.percentile_ms(99)}


def _benchmark_app(version: Path, frames: Path, seconds: float) -> float:
    """Return benchmark_app's frames a second, with inputs copied for each frame as in a server."""
    program = Path(sys.executable).with_name("benchmark_app")
    with tempfile.TemporaryDirectory() as reports:
        command = [program, "-m", version / "graph.xml", "-d", "CPU", "-hint", "throughput", "-infer_precision", "f32"]
        command += [
            "-t",
            str(max(1, round(seconds))),
            "-inference_only",
            "False",
            "-i",
            frames,
            "-report_folder",
            reports,
        ]
        said = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout
    found = re.search(r"Throughput:\s+([\d.]+) FPS", said)
    if not found:
        raise SystemExit(f"benchmark_app: expected a throughput, received:\n{said[-2000:]}")
    return float(found[1])
