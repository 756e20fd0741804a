"""When OpenVINO's calls are for the caller's own thread."""

import msgspec
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine, OpenVinoEngine
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)


def configure(**configuration: object) -> Manifest:
    """The toy's manifest, configured like this."""
    made = manifest(TOY)
    made["configuration"] |= configuration
    return msgspec.convert(made, Manifest)


@pytest.mark.parametrize(
    ("configuration", "cores", "runs"),
    [
        ({}, 1, True),
        ({"infer_requests": 2}, 2, True),
        ({"batch": 4}, 1, False),  # pictures would be kept apart
        ({"hint": "latency", "infer_requests": 1}, 2, False),  # threads would wait for a request
    ],
)
def test_callers_compute_themselves_where_nobody_waits(
    configuration: dict[str, object], cores: int, runs: bool
) -> None:
    engine = OpenVinoEngine(configure(**configuration), *graph(TOY), cores=cores)
    assert engine.runs_in_caller is runs


def test_a_fake_is_called_by_its_batcher() -> None:
    assert not FakeEngine(configure()).runs_in_caller
