"""A configuration measured on one machine, run on another."""

import msgspec
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine.streams import StreamPlan, plan_streams
from tests.service.toy import Toy, manifest


def measured(hint: str, streams: int, threads: int, requests: int, cores: int = 2) -> Manifest:
    """A version measured on a host with so many cores; on none, when 0."""
    facts = manifest_with(hint, streams, threads, requests)
    facts["measurements"][0]["host"]["cores"] = cores
    if not cores:
        facts["measurements"] = []
    return msgspec.convert(facts, Manifest)


def manifest_with(hint: str, streams: int, threads: int, requests: int) -> dict:
    facts = manifest(Toy())
    said = {"hint": hint, "streams": streams, "threads": threads, "infer_requests": requests}
    facts["configuration"] |= said
    return facts


@pytest.mark.parametrize(
    ("version", "cores", "plan"),
    [
        (measured("throughput", 2, 2, 4), 2, StreamPlan(1, 1, 1, lanes=2)),
        (measured("throughput", 2, 2, 4), 1, StreamPlan(1, 1, 2)),
        (measured("throughput", 2, 2, 4), 16, StreamPlan(1, 1, 1, lanes=16)),
        (measured("throughput", 1, 2, 2), 8, StreamPlan(1, 2, 1, lanes=4)),
        (measured("throughput", 0, 0, 0), 8, StreamPlan(0, 8, 0)),
        (measured("throughput", 4, 2, 4, cores=0), 4, StreamPlan(1, 1, 1, lanes=4)),
        (measured("throughput", 2, 3, 4), 2, StreamPlan(1, 1, 1, lanes=2)),
        (measured("latency", 1, 2, 1), 8, StreamPlan(1, 8, 1)),
        (measured("latency", 1, 1, 1), 8, StreamPlan(1, 4, 1)),
        (measured("latency", 2, 2, 2), 1, StreamPlan(1, 1, 2)),
    ],
)
def test_a_configuration_keeps_its_proportions(version: Manifest, cores: int, plan: StreamPlan) -> None:
    assert plan_streams(version, cores) == plan
