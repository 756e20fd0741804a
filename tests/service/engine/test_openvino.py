"""The properties of an OpenVINO engine, and the graphs that it refuses."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine, OpenVinoEngine
from danmatte.errors import EngineError
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)


def configure(**configuration: object) -> Manifest:
    """Return the toy's manifest with this configuration."""
    made = manifest(TOY)
    made["configuration"] |= configuration
    return msgspec.convert(made, Manifest)


@pytest.mark.parametrize(
    ("configuration", "cores", "runs"),
    [
        ({}, 1, True),
        ({"infer_requests": 2}, 2, True),
        ({"batch": 4}, 1, False),  # direct calls would prevent batches
        ({"hint": "latency", "infer_requests": 1}, 2, False),  # threads would wait for an infer request
    ],
)
def test_inference_runs_in_the_callers_thread_without_batches_and_with_enough_requests(
    configuration: dict[str, object], cores: int, runs: bool
) -> None:
    engine = OpenVinoEngine(configure(**configuration), *graph(TOY), cores=cores)
    assert engine.runs_in_caller is runs


def test_the_fake_engine_does_not_run_in_the_callers_thread() -> None:
    assert not FakeEngine(configure()).runs_in_caller


@pytest.mark.parametrize(
    ("configuration", "cores", "concurrency", "batch"),
    [
        ({"infer_requests": 3, "hint": "latency"}, 4, 3, 1),
        ({"hint": "throughput", "streams": 2, "threads": 2, "infer_requests": 2}, 2, 2, 1),
        ({"batch": 4, "infer_requests": 1}, 1, 1, 4),
    ],
)
def test_concurrency_and_batch_of_an_engine_follow_its_configuration(
    configuration: dict[str, object], cores: int, concurrency: int, batch: int
) -> None:
    facts = manifest(TOY)
    facts["measurements"] = []
    facts["configuration"] |= configuration
    engine = OpenVinoEngine(msgspec.convert(facts, Manifest), *graph(TOY), cores=cores)
    assert (engine.concurrency, engine.batch) == (concurrency, batch)


def test_more_threads_than_infer_requests_get_their_own_outputs() -> None:
    engine = OpenVinoEngine(configure(infer_requests=1), *graph(TOY), cores=1)
    pictures = [np.full((1, 64, 96, 3), value, np.uint8) for value in range(0, 250, 10)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(engine.infer, pictures))
    assert [round(float(answer.mean()) * 255) for answer in answers] == list(range(0, 250, 10))


def test_an_infer_request_that_failed_is_reused_by_the_next_call() -> None:
    engine = OpenVinoEngine(configure(infer_requests=1), *graph(TOY), cores=1)
    real = engine._idle.get()

    class Broken:
        def infer(self, *_: object, **__: object) -> None:
            raise RuntimeError("out of memory")

    engine._idle.put(Broken())
    for _ in range(3):
        with pytest.raises(EngineError, match="OpenVINO: out of memory"):
            engine.infer(np.zeros((1, 64, 96, 3), np.uint8))
    assert isinstance(engine._idle.get_nowait(), Broken)
    engine._idle.put(real)
    assert engine.infer(np.full((1, 64, 96, 3), 255, np.uint8)).min() == 1


def test_output_probabilities_are_clipped_to_0_and_1() -> None:
    engine = OpenVinoEngine(configure(infer_requests=1), *graph(TOY), cores=1)

    class Loud:
        def infer(self, *_: object, **__: object) -> list[np.ndarray]:
            return [np.array([[[[-0.005], [0.5], [1.005]]]], np.float32)]

    engine._idle.get()
    engine._idle.put(Loud())
    assert engine.infer(np.zeros((1, 64, 96, 3), np.uint8)).tolist() == [[[0, 0.5, 1]]]
