"""Inference in the caller's own thread: the same answers, beside those that are awaited."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine, Inline, OpenVinoEngine
from danmatte.errors import EngineError
from danmatte.frame import Pixels
from tests.service.toy import Toy, graph, manifest

TOY = Toy(height=64, width=96)


def facts(**configuration: object) -> Manifest:
    """The toy's, configured like this."""
    made = manifest(TOY)
    made["configuration"] |= configuration
    return msgspec.convert(made, Manifest)


def inline(engine: OpenVinoEngine) -> Inline:
    found = engine.inline
    assert found
    return found


def picture(seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)


async def test_the_answer_is_the_one_that_is_awaited() -> None:
    engine = OpenVinoEngine(facts(), *graph(TOY), cores=1)
    for seed in range(3):
        assert (inline(engine)(picture(seed)) == await engine.infer(picture(seed))).all()


async def test_threads_and_awaiting_callers_share_the_requests_and_mix_nothing_up() -> None:
    engine = OpenVinoEngine(facts(infer_requests=2), *graph(TOY), cores=2)
    alone = [await engine.infer(picture(seed)) for seed in range(20)]
    with ThreadPoolExecutor(6) as threads:
        computed = [threads.submit(inline(engine), picture(seed)) for seed in range(20)]
        awaited = await asyncio.gather(*(engine.infer(picture(seed)) for seed in range(20)))
        for expected, here, there in zip(alone, computed, awaited, strict=True):
            assert (here.result(10) == expected).all()
            assert (there == expected).all()


def test_pictures_that_are_gathered_are_not_kept_apart() -> None:
    assert OpenVinoEngine(facts(batch=4), *graph(TOY), cores=1).inline is None
    assert FakeEngine(facts()).inline is None


def test_threads_that_would_wait_for_a_request_do_not_infer() -> None:
    assert OpenVinoEngine(facts(hint="latency", infer_requests=1), *graph(TOY), cores=2).inline is None


def test_what_cannot_be_inferred_is_an_engine_error_and_costs_no_request() -> None:
    engine = OpenVinoEngine(facts(infer_requests=1), *graph(TOY), cores=1)
    for _ in range(3):
        with pytest.raises(EngineError, match="expected"):
            inline(engine)(picture(0)[:, :10])
    assert inline(engine)(picture(0)).shape == (TOY.rows, TOY.columns)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        inline(engine)(picture(0))
