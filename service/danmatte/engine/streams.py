"""How a version's configuration is run on the cores that are here."""

from dataclasses import dataclass

from danmatte.contract.configuration import Configuration
from danmatte.contract.manifest import Manifest


@dataclass(frozen=True)
class StreamPlan:
    """The streams, threads and infer requests of each of the `lanes`; 0 leaves the choice to the plugin.

    A lane is a compiled graph of its own. With one stream each, it computes in the thread that calls it; a graph of
    several streams hands the picture to a thread of its own, often on another core, whose caches don't hold it.
    """

    streams: int
    threads: int
    requests: int
    lanes: int = 1

    def to_properties(self, wanted: Configuration) -> dict[str, str | int | bool]:
        """OpenVINO's properties for this plan (docs.openvino.ai, CPU device)."""
        chosen: dict[str, str | int | bool] = {
            "PERFORMANCE_HINT": wanted.hint.upper(),
            "INFERENCE_PRECISION_HINT": wanted.precision,
        }
        if wanted.device == "CPU":
            chosen["INFERENCE_NUM_THREADS"] = self.threads
        if self.streams:
            chosen["NUM_STREAMS"] = self.streams
        if self.requests:
            chosen["PERFORMANCE_HINT_NUM_REQUESTS"] = self.requests
        if self.lanes > 1:
            chosen["ENABLE_CPU_PINNING"] = False  # each lane would pin itself to the first core
        return chosen


def plan_streams(manifest: Manifest, cores: int) -> StreamPlan:
    """Scales the configuration from the cores of the host that it was measured on to these.

    A latency hint keeps its streams, each over more threads or fewer; OpenVINO keeps such a stream
    on one NUMA node. A throughput hint's streams become lanes.
    """
    wanted = manifest.configuration
    measured_on = manifest.measurements[0].host.cores if manifest.measurements else 0
    share = cores / (measured_on or wanted.threads or cores)

    def scale(number: int) -> int:
        return max(1, round(number * share)) if number else 0

    threads = min(cores, scale(wanted.threads) or cores)
    if wanted.hint == "latency":
        return StreamPlan(min(wanted.streams, threads), threads, wanted.infer_requests)
    streams = min(scale(wanted.streams), threads)
    if wanted.device == "CPU" and streams > 1:
        return StreamPlan(1, threads // streams, 1, lanes=streams)
    return StreamPlan(streams, threads, scale(wanted.infer_requests))
