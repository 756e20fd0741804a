"""Requirements of every engine; a new one is one line in `ENGINES`."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from danmatte.contract.manifest import Manifest
from danmatte.engine import Engine, FakeEngine, OpenVinoEngine, Served
from danmatte.engine.compilation import open_core
from danmatte.errors import EngineError, ModelError
from danmatte.frame import Pixels
from danmatte.telemetry.timing import Timing
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)
SHAPE = (1, 64, 96, 3)


def configure(facts: Manifest, *, cores: int = 1, **changes: object) -> OpenVinoEngine:
    """Open the toy with some of its configuration changed."""
    configuration = msgspec.structs.replace(facts.configuration, **changes)
    return OpenVinoEngine(msgspec.structs.replace(facts, configuration=configuration), *graph(TOY), cores=cores)


ENGINES: dict[str, Callable[[Manifest], Engine]] = {
    "fake": FakeEngine,
    "openvino": lambda facts: OpenVinoEngine(facts, *graph(TOY), cores=1),
    "openvino, batching": lambda facts: configure(facts, batch=4),
    "openvino, three lanes": lambda facts: configure(facts, cores=3, hint="throughput", streams=3, threads=3),
}


def open_engine(kind: str) -> Engine:
    return ENGINES[kind](msgspec.convert(manifest(TOY), Manifest))


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened = open_engine(request.param)
    yield opened
    opened.close()


@pytest.fixture
def served(engine: Engine) -> Iterator[Served]:
    """The engine with a batcher before it."""
    made = Served(msgspec.convert(manifest(TOY), Manifest), engine)
    yield made
    made.close()


def shade(value: int) -> Pixels:
    """A picture of one grey."""
    return np.full(SHAPE, value, np.uint8)


def noise(seed: int, count: int = 1) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE[1:]), dtype=np.uint8)


def test_outputs_have_the_shape_and_range_of_the_contract(engine: Engine) -> None:
    values = engine.infer(noise(0))
    assert values.shape == (1, 16, 24)
    assert values.dtype == np.float32
    assert 0 <= values.min() < values.max() <= 1


@pytest.mark.parametrize("value", [0, 51, 255])
def test_the_toy_graph_outputs_brightness_as_probability(engine: Engine, value: int) -> None:
    assert engine.infer(shade(value)) == pytest.approx(value / 255, abs=1e-6)


def test_the_output_is_high_where_the_picture_is_bright(engine: Engine) -> None:
    picture = shade(0)
    picture[0, 8:16, 40:48] = 255
    (values,) = engine.infer(picture)
    assert (values[2:4, 10:12] == 1).all()
    assert values.sum() == pytest.approx(4)


def test_a_call_takes_one_to_as_many_pictures_as_the_engines_batch(engine: Engine) -> None:
    pictures = noise(5, engine.batch)
    alone = [engine.infer(pictures[row : row + 1])[0] for row in range(engine.batch)]
    assert engine.infer(pictures) == pytest.approx(np.array(alone), abs=1e-6)
    for count in (0, engine.batch + 1):
        with pytest.raises(EngineError, match="expected"):
            engine.infer(noise(5, count))


def test_a_read_only_or_non_contiguous_picture_is_accepted_and_not_changed(engine: Engine) -> None:
    picture = noise(0)
    body = b"{json}" + picture.tobytes()
    within = np.frombuffer(body, np.uint8, offset=6).reshape(SHAPE)
    columns = np.asfortranarray(picture)
    expected = engine.infer(picture)
    for same in (within, columns):
        assert (engine.infer(same) == expected).all()
    assert body == b"{json}" + picture.tobytes()


def test_a_later_call_does_not_overwrite_an_earlier_output(engine: Engine) -> None:
    first = engine.infer(shade(255))
    engine.infer(shade(0))
    assert (first == 1).all()


@pytest.mark.parametrize(
    "picture",
    [np.zeros((1, 64, 96, 4), np.uint8), np.zeros((64, 96, 3), np.uint8), np.zeros(SHAPE, np.float32)],
)
async def test_an_invalid_picture_raises_an_engine_error_and_later_calls_succeed(
    served: Served, picture: Pixels
) -> None:
    for _ in range(3):
        with pytest.raises(EngineError, match="expected"):
            served.engine.infer(picture)
        with pytest.raises(EngineError, match="expected"):
            await served.batcher.infer(picture)
    assert (served.engine.infer(shade(255)) == 1).all()


async def test_outputs_of_threads_and_awaiting_callers_are_not_exchanged(served: Served) -> None:
    alone = [served.engine.infer(noise(seed))[0] for seed in range(20)]
    with ThreadPoolExecutor(6) as threads:
        computed = [threads.submit(served.engine.infer, noise(seed)) for seed in range(20)]
        awaited = await asyncio.gather(*(served.batcher.infer(noise(seed)) for seed in range(20)))
        for expected, future, values in zip(alone, computed, awaited, strict=True):
            assert future.result(10)[0] == pytest.approx(expected, abs=1e-6)
            assert values == pytest.approx(expected, abs=1e-6)


async def test_time_in_the_queue_is_not_counted_as_inference(served: Served) -> None:
    timings = [Timing() for _ in range(64)]
    began = time.perf_counter()
    await asyncio.gather(*(served.batcher.infer(shade(1), timing) for timing in timings))
    whole_ms = 1000 * (time.perf_counter() - began)
    for timing in timings:
        assert set(timing.phases_ms) == {"queue", "infer"}
        assert 0 < sum(timing.phases_ms.values()) <= whole_ms
    spans = [span[1:] for timing in timings for span in timing.spans if span[0] == "infer"]
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert len(spans) == 64
    assert max(at_once) <= served.engine.concurrency * served.engine.batch


async def test_neighbours_survive_a_cancelled_caller(served: Served) -> None:
    tasks = [asyncio.create_task(served.batcher.infer(shade(value))) for value in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    values = await asyncio.gather(*tasks, return_exceptions=True)
    for value, answer in enumerate(values):
        if value % 2:
            assert answer == pytest.approx(value / 255, abs=1e-6)
        else:
            assert isinstance(answer, asyncio.CancelledError)


async def test_inference_continues_after_many_cancelled_callers(served: Served) -> None:
    for _ in range(20):
        task = asyncio.create_task(served.batcher.infer(shade(1)))
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(5):
        assert (await served.batcher.infer(shade(255)) == 1).all()


async def test_closing_ends_all_waiting_calls(served: Served) -> None:
    tasks = [asyncio.create_task(served.batcher.infer(shade(1))) for _ in range(50)]
    await asyncio.sleep(0)
    served.close()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, EngineError | np.ndarray) for answer in answers)
    with pytest.raises(EngineError, match="closed"):
        await served.batcher.infer(shade(1))
    with pytest.raises(EngineError, match="closed"):
        served.engine.infer(shade(1))


def test_an_engine_serves_successive_event_loops(served: Served) -> None:
    for _ in range(2):
        assert (asyncio.run(served.batcher.infer(shade(255))) == 1).all()


def test_an_engine_reports_its_precision(engine: Engine) -> None:
    assert engine.precision in {"f32", "bf16", "f16"}


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_unreferenced_engine_is_freed(kind: str) -> None:
    served = Served(msgspec.convert(manifest(TOY), Manifest), open_engine(kind))
    await served.batcher.infer(shade(1))
    gone = weakref.ref(served.engine)
    del served
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_engine_can_be_freed_while_it_computes_for_a_cancelled_caller(kind: str) -> None:
    for _ in range(10):
        served = Served(msgspec.convert(manifest(TOY), Manifest), open_engine(kind))
        task = asyncio.create_task(served.batcher.infer(shade(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del served, task
        gc.collect()


def change_manifest(**fields: object) -> Manifest:
    """Return the toy's manifest with some values changed."""
    facts = manifest(TOY)
    for path, value in fields.items():
        section, field = path.split("_", 1)
        place = facts[section] if section in facts else facts[f"{section}s"][0]
        place[field] = value
    return msgspec.convert(facts, Manifest)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (change_manifest(input_name="image"), "input: expected .*'image'.*received .*'frame'"),
        (change_manifest(input_shape=[1, 64, 64, 3]), "input: expected"),
        (change_manifest(output_name="mask"), "output: expected"),
        (change_manifest(output_shape=[1, 16, 16, 1]), "output: expected"),
        (change_manifest(configuration_device="NOSUCH"), "OpenVINO"),
    ],
)
def test_openvino_refuses_a_graph_that_differs_from_the_manifest(facts: Manifest, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        OpenVinoEngine(facts, *graph(TOY), cores=1)


@pytest.mark.parametrize("files", [(b"<net", b""), (graph(TOY)[0], b""), (b"", b"")])
def test_openvino_refuses_invalid_graph_files(files: tuple[bytes, bytes]) -> None:
    with pytest.raises(ModelError, match="OpenVINO"):
        OpenVinoEngine(change_manifest(), *files, cores=1)


def make_mixing_graph() -> tuple[bytes, bytes]:
    """A graph that gives every picture of a batch the mean of all."""
    model = open_core().read_model(*graph(TOY))
    person = model.output(0).get_node().input_value(0)
    mean = op.reduce_mean(person, op.constant(np.array([0])), keep_dims=True)
    spread_out = op.add(op.multiply(person, op.constant(np.float32(0))), mean)
    result = ov.Model([spread_out], model.get_parameters(), "mixing")
    result.output(0).set_names({"person"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(result, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def test_a_graph_that_mixes_the_pictures_of_a_batch_is_refused_for_batches() -> None:
    OpenVinoEngine(change_manifest(), *make_mixing_graph(), cores=1).close()
    with pytest.raises(ModelError, match="single items in a batch of 2"):
        OpenVinoEngine(change_manifest(configuration_batch=3), *make_mixing_graph(), cores=1)
