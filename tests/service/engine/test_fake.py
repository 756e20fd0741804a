"""The fake engine's behaviour, on which other tests and the preflight rely."""

import asyncio
import time

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine, Served
from danmatte.errors import EngineError
from tests.service.toy import Toy, manifest


def facts(**shape: object) -> Manifest:
    return msgspec.convert(manifest(Toy(**shape)), Manifest)


def test_output_cells_are_means_although_they_do_not_divide_the_picture_evenly() -> None:
    engine = FakeEngine(facts(height=66, width=98))
    picture = np.random.default_rng(0).integers(0, 256, (1, 66, 98, 3), dtype=np.uint8)
    (values,) = engine.infer(picture)
    rows, columns = values.shape
    high, wide = 66 // rows, 98 // columns
    assert values[0, 0] == pytest.approx(picture[0, :high, :wide].mean() / 255, abs=1e-6)
    assert values[-1, -1] == pytest.approx(
        picture[0, (rows - 1) * high : rows * high, (columns - 1) * wide : columns * wide].mean() / 255, abs=1e-6
    )


def test_the_fake_engine_takes_the_configured_delay() -> None:
    engine = FakeEngine(facts(), delay_s=0.05)
    began = time.monotonic()
    engine.infer(np.zeros((1, 96, 160, 3), np.uint8))
    assert time.monotonic() - began >= 0.05


async def test_closing_ends_a_long_call_at_once() -> None:
    served = Served(facts(), FakeEngine(facts(), delay_s=600))
    call = asyncio.create_task(asyncio.to_thread(served.engine.infer, np.zeros((1, 96, 160, 3), np.uint8)))
    waiting = asyncio.create_task(served.batcher.infer(np.zeros((1, 96, 160, 3), np.uint8)))
    await asyncio.sleep(0)
    served.close()
    async with asyncio.timeout(10):
        for task in (call, waiting):
            with pytest.raises(EngineError, match="closed"):
                await task
