"""Batches: which items are computed together, which are left out, and what happens if a batch fails."""

import asyncio
import threading

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, Batcher, FakeEngine
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.timing import Timing
from tests.service.toy import Toy, manifest

TOY = Toy(height=64, width=96)


class Recorder(FakeEngine):
    """An engine of one thread and up to four pictures a call; it waits for the test, and records its calls."""

    batch, concurrency = 4, 1

    def __init__(self) -> None:
        super().__init__(msgspec.convert(manifest(TOY), Manifest))
        self.calls: list[list[int]] = []
        self.begun, self.let = threading.Event(), threading.Event()

    def compute(self, inputs: Arrays) -> Arrays:
        self.calls.append([int(picture[0, 0, 0]) for picture in inputs[0]])
        self.begun.set()
        assert self.let.wait(10)
        if 13 in self.calls[-1]:
            raise RuntimeError("out of memory")
        return super().compute(inputs)


def shade(value: int) -> Pixels:
    return np.full((1, 64, 96, 3), value, np.uint8)


def start(batcher: Batcher, *values: int) -> list[asyncio.Task[Probabilities]]:
    return [asyncio.create_task(batcher.infer(shade(value))) for value in values]


async def hold(engine: Recorder, batcher: Batcher) -> asyncio.Task[Probabilities]:
    """Occupy the engine's only thread with a picture."""
    (busy,) = start(batcher, 0)
    await asyncio.to_thread(engine.begun.wait, 10)
    return busy


async def test_waiting_items_are_computed_in_batches_of_limited_size() -> None:
    engine = Recorder()
    batcher = Batcher(engine)
    busy = await hold(engine, batcher)
    waiting = start(batcher, *range(1, 7))
    await asyncio.sleep(0)
    engine.let.set()
    answers = await asyncio.gather(busy, *waiting)
    assert engine.calls == [[0], [1, 2, 3, 4], [5, 6]]
    assert [round(float(values.mean()) * 255) for values in answers] == list(range(7))


async def test_executions_are_counted_by_batch_size() -> None:
    engine = Recorder()
    batcher = Batcher(engine)
    timings = [Timing() for _ in range(6)]
    busy = await hold(engine, batcher)
    waiting = [asyncio.create_task(batcher.infer(shade(number), timing)) for number, timing in enumerate(timings)]
    await asyncio.sleep(0)
    engine.let.set()
    await asyncio.gather(busy, *waiting)
    calls, _ = engine.executions.describe()
    assert {batch: duration["count"] for batch, duration in calls.items()} == {1: 1, 2: 1, 4: 1}
    assert [timing.batch for timing in timings] == [4, 4, 4, 4, 2, 2]


async def test_a_failed_call_is_not_counted_as_an_execution() -> None:
    engine = Recorder()
    engine.let.set()
    with pytest.raises(EngineError, match="out of memory"):
        await Batcher(engine).infer(shade(13))
    assert engine.executions.describe() == ({}, 0)


async def test_items_of_one_event_loop_iteration_share_a_batch() -> None:
    engine = Recorder()
    engine.let.set()
    await asyncio.gather(*start(Batcher(engine), 1, 2, 3))
    assert engine.calls == [[1, 2, 3]]


async def test_a_batch_waits_for_expected_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danmatte.engine.batcher.GATHER_S", 10.0)
    engine = Recorder()
    engine.let.set()
    batcher = Batcher(engine)
    with batcher.expect():
        (first,) = start(batcher, 1)
        await asyncio.sleep(0.05)  # by now the thread has the item; it must wait for the second
        assert engine.calls == []
    (second,) = start(batcher, 2)
    await asyncio.gather(first, second)
    assert engine.calls == [[1, 2]]


async def test_a_batch_does_not_wait_if_no_items_are_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danmatte.engine.batcher.GATHER_S", 3600.0)
    engine = Recorder()
    engine.let.set()
    async with asyncio.timeout(30):
        await Batcher(engine).infer(shade(1))
    assert engine.calls == [[1]]


async def test_cancelled_items_are_not_computed() -> None:
    engine = Recorder()
    batcher = Batcher(engine)
    busy = await hold(engine, batcher)
    gone, *stay = start(batcher, *range(1, 6))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    engine.let.set()
    await asyncio.gather(busy, *stay)
    assert engine.calls == [[0], [2, 3, 4, 5]]  # the cancelled picture has no place in the batch


async def test_a_failed_batch_is_an_engine_error_for_each_item_and_the_next_succeeds() -> None:
    engine = Recorder()
    batcher = Batcher(engine)
    busy = await hold(engine, batcher)
    waiting = start(batcher, 12, 13)
    await asyncio.sleep(0)
    engine.let.set()
    await busy
    for task in waiting:
        with pytest.raises(EngineError, match="RuntimeError: out of memory"):
            await task
    assert (await batcher.infer(shade(255)) == 1).all()


async def test_closing_ends_all_waiting_calls_before_the_engine_has_finished() -> None:
    engine = Recorder()
    batcher = Batcher(engine)
    tasks = [await hold(engine, batcher), *start(batcher, 1, 2)]
    await asyncio.sleep(0)
    batcher.close()
    for task in tasks:
        with pytest.raises(EngineError, match="closed"):
            await task
    engine.let.set()


async def test_a_closed_batcher_ends_its_threads_and_computes_no_more_items() -> None:
    engine, before = Recorder(), set(threading.enumerate())
    batcher = Batcher(engine)
    tasks = [await hold(engine, batcher), *start(batcher, 1, 2)]
    await asyncio.sleep(0)
    batcher.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    engine.let.set()
    for thread in {*threading.enumerate()} - before:
        if thread.name.startswith("infer"):
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()
    assert engine.calls == [[0]]


async def test_an_item_of_several_pictures_is_refused() -> None:
    with pytest.raises(EngineError, match="expected"):
        await Batcher(Recorder()).infer(np.concatenate([shade(1), shade(2)]))


def test_an_unused_batcher_has_no_threads() -> None:
    before = threading.active_count()
    batcher = Batcher(Recorder())
    assert threading.active_count() == before
    batcher.close()
