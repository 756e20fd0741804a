"""A configuration measured on one machine, run on another."""

import msgspec
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine.streams import StreamPlan, plan_streams
from tests.service.toy import Toy, manifest


def measure_on(hint: str, streams: int, threads: int, requests: int, cores: int = 2) -> Manifest:
    """Return a version measured on a host with this many cores; without measurements if that is 0."""
    facts = configure(hint, streams, threads, requests)
    facts["measurements"][0]["host"]["cores"] = cores
    if not cores:
        facts["measurements"] = []
    return msgspec.convert(facts, Manifest)


def configure(hint: str, streams: int, threads: int, requests: int) -> dict:
    facts = manifest(Toy())
    facts["configuration"] |= {"hint": hint, "streams": streams, "threads": threads, "infer_requests": requests}
    return facts


@pytest.mark.parametrize(
    ("version", "cores", "plan"),
    [
        (measure_on("throughput", 2, 2, 4), 2, StreamPlan(1, 1, 1, lanes=2)),
        (measure_on("throughput", 2, 2, 4), 1, StreamPlan(1, 1, 2)),
        (measure_on("throughput", 2, 2, 4), 16, StreamPlan(1, 1, 1, lanes=16)),
        (measure_on("throughput", 1, 2, 2), 8, StreamPlan(1, 2, 1, lanes=4)),
        (measure_on("throughput", 0, 0, 0), 8, StreamPlan(0, 8, 0)),
        (measure_on("throughput", 4, 2, 4, cores=0), 4, StreamPlan(1, 1, 1, lanes=4)),
        (measure_on("throughput", 2, 3, 4), 2, StreamPlan(1, 1, 1, lanes=2)),
        (measure_on("latency", 1, 2, 1), 8, StreamPlan(1, 8, 1)),
        (measure_on("latency", 1, 1, 1), 8, StreamPlan(1, 4, 1)),
        (measure_on("latency", 2, 2, 2), 1, StreamPlan(1, 1, 2)),
    ],
)
def test_a_measured_configuration_is_scaled_to_the_available_cores(
    version: Manifest, cores: int, plan: StreamPlan
) -> None:
    assert plan_streams(version, cores) == plan


@pytest.mark.parametrize("hint", ["latency", "throughput"])
@pytest.mark.parametrize("cores", [1, 2, 3, 7, 64])
def test_no_plan_has_more_threads_than_cores(hint: str, cores: int) -> None:
    for streams, threads, requests in ((0, 0, 0), (1, 2, 1), (2, 2, 4), (4, 4, 4), (3, 8, 6)):
        plan = plan_streams(measure_on(hint, streams, threads, requests, cores=4), cores)
        assert 1 <= plan.lanes * plan.threads <= cores
        assert plan.streams <= plan.threads


def test_a_lane_has_one_stream_and_does_not_pin_its_thread() -> None:
    version = measure_on("throughput", 2, 2, 4)
    assert StreamPlan(1, 1, 1, lanes=2).to_properties(version.configuration) == {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT_NUM_REQUESTS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def test_values_left_to_the_plugin_are_not_set_as_properties() -> None:
    version = measure_on("latency", 0, 0, 0)
    assert StreamPlan(0, 8, 0).to_properties(version.configuration) == {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": 8,
    }


def test_threads_are_not_configured_for_devices_other_than_the_cpu() -> None:
    version = measure_on("latency", 1, 2, 1)
    gpu = msgspec.structs.replace(version.configuration, device="GPU")
    assert "INFERENCE_NUM_THREADS" not in StreamPlan(1, 2, 1).to_properties(gpu)
    throughput = measure_on("throughput", 2, 2, 4)
    elsewhere = msgspec.structs.replace(
        throughput, configuration=msgspec.structs.replace(throughput.configuration, device="GPU")
    )
    assert plan_streams(elsewhere, 2).lanes == 1
