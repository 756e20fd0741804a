"""What every engine must do; a new one is one line in `ENGINES`."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as op

from danmatte.contract.manifest import Manifest
from danmatte.engine import Engine, FakeEngine, OpenVinoEngine
from danmatte.errors import EngineError, ModelError
from danmatte.frame import Pixels
from danmatte.telemetry.metrics import Timing
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)
SHAPE = (1, 64, 96, 3)


def configured(facts: Manifest, *, cores: int = 1, **said: object) -> OpenVinoEngine:
    """As the toy's manifest has it, but for what is said."""
    configuration = msgspec.structs.replace(facts.configuration, **said)
    return OpenVinoEngine(msgspec.structs.replace(facts, configuration=configuration), *graph(TOY), cores=cores)


ENGINES: dict[str, Callable[[Manifest], Engine]] = {
    "fake": FakeEngine,
    "openvino": lambda facts: OpenVinoEngine(facts, *graph(TOY), cores=1),
    "openvino, batching": lambda facts: configured(facts, batch=4),
    "openvino, three lanes": lambda facts: configured(facts, cores=3, hint="throughput", streams=3, threads=3),
}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened = ENGINES[request.param](msgspec.convert(manifest(TOY), Manifest))
    yield opened
    opened.close()


def shade(value: int) -> Pixels:
    """A picture of one grey."""
    return np.full(SHAPE, value, np.uint8)


async def test_the_answer_has_the_shape_and_range_of_the_contract(engine: Engine) -> None:
    values = await engine.infer(np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8))
    assert values.shape == (16, 24)
    assert values.dtype == np.float32
    assert 0 <= values.min() < values.max() <= 1


async def test_the_wait_in_the_line_is_not_the_networks(engine: Engine) -> None:
    timings = [Timing() for _ in range(64)]
    began = time.perf_counter()
    await asyncio.gather(*(engine.infer(shade(1), timing) for timing in timings))
    whole_ms = 1000 * (time.perf_counter() - began)
    for timing in timings:
        assert set(timing.phases_ms) <= {"queue", "infer"}
        assert 0 < sum(timing.phases_ms.values()) <= whole_ms
    if isinstance(engine, OpenVinoEngine):  # few at once, and the others waited
        spans = [span[1:] for timing in timings for span in timing.spans if span[0] == "infer"]
        at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
        assert len(spans) == 64
        assert max(at_once) <= 16


@pytest.mark.parametrize("value", [0, 51, 255])
async def test_brightness_is_probability(engine: Engine, value: int) -> None:
    assert await engine.infer(shade(value)) == pytest.approx(value / 255, abs=1e-6)


async def test_an_answer_lies_where_its_picture_was_bright(engine: Engine) -> None:
    picture = shade(0)
    picture[0, 8:16, 40:48] = 255
    values = await engine.infer(picture)
    assert (values[2:4, 10:12] == 1).all()
    assert values.sum() == pytest.approx(4)


async def test_a_picture_may_lie_anywhere_in_memory_that_is_not_to_be_written(engine: Engine) -> None:
    picture = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    body = b"{json}" + picture.tobytes()
    within = np.frombuffer(body, np.uint8, offset=6).reshape(SHAPE)
    columns = np.asfortranarray(picture)
    expected = await engine.infer(picture)
    for same in (within, columns):
        assert (await engine.infer(same) == expected).all()
    assert body == b"{json}" + picture.tobytes()


async def test_answers_are_not_mixed_up(engine: Engine) -> None:
    values = await asyncio.gather(*(engine.infer(shade(value)) for value in range(0, 256, 5)))
    assert [round(float(value.mean()) * 255) for value in values] == list(range(0, 256, 5))


async def test_an_answer_is_the_callers_own(engine: Engine) -> None:
    first = await engine.infer(shade(255))
    await engine.infer(shade(0))
    assert (first == 1).all()


async def test_neighbours_survive_a_cancelled_caller(engine: Engine) -> None:
    tasks = [asyncio.create_task(engine.infer(shade(value))) for value in range(40)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    values = await asyncio.gather(*tasks, return_exceptions=True)
    for value, answer in enumerate(values):
        if value % 2:
            assert answer == pytest.approx(value / 255, abs=1e-6)
        else:
            assert isinstance(answer, asyncio.CancelledError)


async def test_it_goes_on_after_many_left(engine: Engine) -> None:
    for _ in range(20):
        task = asyncio.create_task(engine.infer(shade(1)))
        await asyncio.sleep(0)
        task.cancel()
    async with asyncio.timeout(5):
        assert (await engine.infer(shade(255)) == 1).all()


@pytest.mark.parametrize(
    "picture",
    [np.zeros((1, 64, 96, 4), np.uint8), np.zeros((64, 96, 3), np.uint8), np.zeros(SHAPE, np.float32)],
)
async def test_a_wrong_picture_is_an_engine_error(engine: Engine, picture: Pixels) -> None:
    with pytest.raises(EngineError, match="expected"):
        await engine.infer(picture)
    assert (await engine.infer(shade(255)) == 1).all()


async def test_closing_answers_whoever_waits(engine: Engine) -> None:
    tasks = [asyncio.create_task(engine.infer(shade(1))) for _ in range(50)]
    await asyncio.sleep(0)
    engine.close()
    async with asyncio.timeout(5):
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, EngineError | np.ndarray) for answer in answers)
    with pytest.raises(EngineError, match="closed"):
        await engine.infer(shade(1))


def test_an_engine_serves_one_loop_after_another(engine: Engine) -> None:
    for _ in range(2):
        assert (asyncio.run(engine.infer(shade(255))) == 1).all()


def test_it_says_what_it_computes_in(engine: Engine) -> None:
    assert engine.precision in {"f32", "bf16", "f16"}


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_engine_nobody_holds_is_freed(kind: str) -> None:
    engine = ENGINES[kind](msgspec.convert(manifest(TOY), Manifest))
    await engine.infer(shade(1))
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("kind", ENGINES)
async def test_an_engine_may_go_while_it_works_for_nobody(kind: str) -> None:
    for _ in range(10):
        engine = ENGINES[kind](msgspec.convert(manifest(TOY), Manifest))
        task = asyncio.create_task(engine.infer(shade(1)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        del engine, task
        gc.collect()


def spoilt(**fields: object) -> Manifest:
    """The toy's manifest, saying something else of its ports."""
    facts = manifest(TOY)
    for path, value in fields.items():
        section, field = path.split("_", 1)
        facts[section][field] = value
    return msgspec.convert(facts, Manifest)


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (spoilt(input_name="image"), "input: expected .*'image'.*received .*'frame'"),
        (spoilt(input_shape=[1, 64, 64, 3]), "input: expected"),
        (spoilt(output_name="mask"), "output: expected"),
        (spoilt(output_shape=[1, 16, 16, 1]), "output: expected"),
        (spoilt(configuration_device="NOSUCH"), "OpenVINO"),
    ],
)
def test_openvino_refuses_a_graph_that_is_not_the_manifests(facts: Manifest, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        OpenVinoEngine(facts, *graph(TOY), cores=1)


@pytest.mark.parametrize("files", [(b"<net", b""), (graph(TOY)[0], b""), (b"", b"")])
def test_openvino_refuses_what_is_no_graph(files: tuple[bytes, bytes]) -> None:
    with pytest.raises(ModelError, match="OpenVINO"):
        OpenVinoEngine(spoilt(), *files, cores=1)


def mixing() -> tuple[bytes, bytes]:
    """A graph that gives every picture of a batch the mean of all."""
    model = ov.Core().read_model(*graph(TOY))
    person = model.output(0).get_node().input_value(0)
    mean = op.reduce_mean(person, op.constant(np.array([0])), keep_dims=True)
    spread_out = op.add(op.multiply(person, op.constant(np.float32(0))), mean)
    result = ov.Model([spread_out], model.get_parameters(), "mixing")
    result.output(0).set_names({"person"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.xml"
        ov.save_model(result, path, compress_to_fp16=False)
        return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def test_a_graph_that_mixes_the_pictures_of_a_batch_is_served_alone_only() -> None:
    OpenVinoEngine(spoilt(), *mixing(), cores=1).close()
    with pytest.raises(ModelError, match="own in a batch of 2"):
        OpenVinoEngine(spoilt(configuration_batch=3), *mixing(), cores=1)
