"""The adaptation of a version's configuration to the available cores."""

from dataclasses import dataclass

from danmatte.contract.configuration import Configuration
from danmatte.contract.manifest import Manifest


@dataclass(frozen=True)
class StreamPlan:
    """The streams, threads and infer requests of each of the `lanes`; 0 leaves the choice to the plugin.

    A lane is a separate compiled graph. With a single stream, it computes in the calling thread. A graph of several
    streams would pass the picture to a thread of OpenVINO, often on another core, whose caches don't hold it.
    """

    streams: int
    threads: int
    requests: int
    lanes: int = 1

    def to_properties(self, wanted: Configuration) -> dict[str, str | int | bool]:
        """Return OpenVINO's properties for this plan (docs.openvino.ai, CPU device)."""
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
            chosen["ENABLE_CPU_PINNING"] = False  # otherwise, all lanes would be pinned to the first core
        return chosen


def plan_streams(manifest: Manifest, cores: int) -> StreamPlan:
    """Return the configuration scaled from the cores of the host that it was measured on to these.

    With a latency hint, the number of streams is kept, and their threads are scaled; OpenVINO keeps such a stream on
    one NUMA node. With a throughput hint, the streams are scaled and become lanes.
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
