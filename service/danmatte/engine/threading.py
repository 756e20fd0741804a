"""How a version's configuration is run on the cores that are here."""

from dataclasses import dataclass

from danmatte.contract.manifest import Manifest


@dataclass(frozen=True)
class Plan:
    """Streams and infer requests, 0 for the plugin's own choice, and threads, of each of the `lanes`.

    A lane is a compiled graph of its own. With one stream each, it computes in the thread that asks; a graph of
    several streams hands the picture to a thread of its own, often on another core, where no cache knows it.
    """

    streams: int
    threads: int
    requests: int
    lanes: int = 1


def planned(manifest: Manifest, cores: int) -> Plan:
    """The configuration in proportion: its numbers are those of the host it was measured on.

    A latency hint keeps its streams, each over more threads or fewer; OpenVINO keeps such a stream
    on one NUMA node. A throughput hint's streams become lanes.
    """
    wanted = manifest.configuration
    measured_on = manifest.measurements[0].host.cores if manifest.measurements else 0
    share = cores / (measured_on or wanted.threads or cores)
    threads = min(cores, _scaled(wanted.threads, share) or cores)
    if wanted.hint == "latency":
        return Plan(min(wanted.streams, threads), threads, wanted.infer_requests)
    streams = min(_scaled(wanted.streams, share), threads)
    if wanted.device == "CPU" and streams > 1:
        return Plan(1, threads // streams, 1, lanes=streams)
    return Plan(streams, threads, _scaled(wanted.infer_requests, share))


def _scaled(number: int, share: float) -> int:
    return max(1, round(number * share)) if number else 0
