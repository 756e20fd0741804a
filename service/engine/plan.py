"""How a version's configuration is run on the cores that are here."""

from dataclasses import dataclass

from service.manifest import Manifest


@dataclass(frozen=True)
class Plan:
    """Streams and infer requests, 0 for the plugin's own choice, and threads."""

    streams: int
    threads: int
    requests: int


def planned(manifest: Manifest, cores: int) -> Plan:
    """The configuration in proportion: its numbers are those of the host it was measured on.

    A latency hint keeps its streams, each over more threads or fewer; OpenVINO keeps such a stream
    on one NUMA node, and spreads the streams of a throughput hint over all of them.
    """
    wanted = manifest.configuration
    measured_on = manifest.measurements[0].host.cores if manifest.measurements else 0
    share = cores / (measured_on or wanted.threads or cores)
    threads = min(cores, _scaled(wanted.threads, share) or cores)
    if wanted.hint == "latency":
        return Plan(min(wanted.streams, threads), threads, wanted.infer_requests)
    return Plan(min(_scaled(wanted.streams, share), threads), threads, _scaled(wanted.infer_requests, share))


def _scaled(number: int, share: float) -> int:
    return max(1, round(number * share)) if number else 0
