"""Inference from named tensors to named tensors, without any transport."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, FakeEngine, Served
from danmatte.errors import EngineError, PictureError, TensorError
from danmatte.frame import Pixels, Size
from danmatte.inference.tensors import MASK, MAX_BATCH, InferRequest, Item, Tensor, TensorInference, map_concurrently
from danmatte.telemetry.timing import Timing
from tests.service.toy import Toy, manifest

TOY = Toy()
SHAPE = (1, TOY.height, TOY.width, 3)


class Pictures:
    """A fake whose pictures are one byte of brightness, and whose masks name their inputs."""

    async def compute(self, item: Item, served: Served, timing: Timing) -> tuple[Size, Arrays]:
        (body,) = item
        if isinstance(body, np.ndarray):
            return Size(TOY.height, TOY.width), await served.batcher.compute((body,), timing)
        if not body:
            raise PictureError("empty")
        return Size(len(body), 7), await served.batcher.compute((np.full(SHAPE, body[0], np.uint8),), timing)

    async def encode_mask(self, outputs: Arrays, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        return f"{frame} {outputs[0].mean():.1f}".encode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Return a toy that measures brightness."""
    facts = msgspec.convert(manifest(TOY), Manifest)
    engine = FakeEngine(facts)
    made = Served(facts, engine)
    yield made
    made.close()


def pixels(*lights: int) -> Tensor:
    """Return a batch of pictures, each of one brightness."""
    values = np.stack([np.full(SHAPE[1:], light, np.uint8) for light in lights])
    return Tensor("frame", "UINT8", values.shape, values)


class Permits:
    """Unlimited permits; `most` counts the maximum in use at once, `taken` the total."""

    def __init__(self) -> None:
        self.now = self.most = self.taken = 0

    @asynccontextmanager
    async def permit(self, timing: Timing) -> AsyncIterator[None]:
        self.now += 1
        self.taken += 1
        self.most = max(self.most, self.now)
        yield
        self.now -= 1


async def answer(served: Served, tensor: Tensor, *outputs: str) -> list[Tensor]:
    return await TensorInference(Pictures()).run(InferRequest((tensor,), outputs), served, Timing(), Permits().permit)


async def test_a_batch_is_split_and_joined_in_order(served: Served) -> None:
    (person,) = await answer(served, pixels(0, 255, 51))
    assert (person.name, person.datatype, person.shape) == ("person", "FP32", (3, TOY.rows, TOY.columns, 1))
    assert np.array(person.values)[:, 0, 0, 0] == pytest.approx([0, 1, 0.2])


async def test_a_single_picture_is_passed_on_without_a_copy(served: Served) -> None:
    seen: list[Pixels] = []

    class Watching(FakeEngine):
        def compute(self, inputs: Arrays) -> Arrays:
            seen.append(inputs[0])
            return super().compute(inputs)

    tensor = pixels(9)
    await answer(Served(served.manifest, Watching(served.manifest)), tensor)
    assert np.shares_memory(seen[0], tensor.values)


async def test_encoded_pictures_are_decoded_and_get_masks_of_their_own_size(served: Served) -> None:
    person, masks = await answer(served, Tensor("frame", "BYTES", (2,), [b"\xff", b"\0\0"]), "person", MASK)
    assert np.array(person.values)[:, 0, 0, 0].tolist() == [1, 0]
    assert (masks.datatype, masks.shape, list(masks.values)) == ("BYTES", (2,), [b"7x1 1.0", b"7x2 0.0"])


async def test_the_mask_of_a_tensor_has_the_size_of_the_input(served: Served) -> None:
    (mask,) = await answer(served, pixels(255), MASK)
    assert list(mask.values) == [f"{TOY.width}x{TOY.height} 1.0".encode()]


async def test_one_bad_picture_fails_its_batch(served: Served) -> None:
    with pytest.raises(PictureError):
        await answer(served, Tensor("frame", "BYTES", (2,), [b"\xff", b""]))


BATCH = InferRequest((Tensor("frame", "BYTES", (12,), [b"a"] * 12),), ("person", MASK))


@pytest.fixture
async def slow(served: Served) -> AsyncIterator[Served]:
    """Return the toy with a delay of 5 ms."""
    engine = FakeEngine(served.manifest, delay_s=0.005)
    made = Served(served.manifest, engine)
    yield made
    made.close()


async def test_phase_times_of_a_batch_do_not_exceed_elapsed_time(slow: Served) -> None:
    timing, began = Timing(), time.perf_counter()
    await TensorInference(Pictures()).run(BATCH, slow, timing, Permits().permit)
    assert 5 <= sum(timing.phases_ms.values()) <= 1000 * (time.perf_counter() - began)
    assert [name for name, *_ in timing.spans].count("infer") == 12


@pytest.mark.parametrize(("gathers", "free", "most"), [(1, 0, 4), (6, 0, 6), (1, 9, 9)])
async def test_each_picture_of_a_batch_takes_a_permit_and_few_are_held_at_once(
    slow: Served, gathers: int, free: int, most: int
) -> None:
    facts = slow.manifest
    replaced = msgspec.structs.replace
    facts = replaced(facts, configuration=replaced(facts.configuration, batch=gathers))
    permits = Permits()
    person, masks = await TensorInference(Pictures()).run(
        BATCH, Served(facts, slow.engine), Timing(), permits.permit, free=free
    )
    assert (permits.most, permits.taken, permits.now) == (most, 12, 0)
    assert (person.shape[0], len(masks.values)) == (12, 12)


async def test_inference_with_a_closed_engine_is_an_error(served: Served) -> None:
    served.close()
    with pytest.raises(EngineError):
        await answer(served, pixels(1, 2))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("x", "UINT8", SHAPE, np.zeros(SHAPE, np.uint8)),
        Tensor("frame", "FP32", SHAPE, np.zeros(SHAPE, np.float32)),
        Tensor("frame", "UINT8", SHAPE[1:], np.zeros(SHAPE[1:], np.uint8)),
        Tensor("frame", "BYTES", (1, 2), [b"", b""]),
        Tensor("frame", "BYTES", (MAX_BATCH + 1,), [b"a"] * (MAX_BATCH + 1)),
        Tensor("frame", "BYTES", (0,), []),
        Tensor("frame", "BYTES", (), []),
    ],
)
async def test_tensors_that_contradict_the_manifest_are_refused(served: Served, tensor: Tensor) -> None:
    with pytest.raises(TensorError):
        await answer(served, tensor)


async def test_a_batch_of_the_largest_size_is_accepted(served: Served) -> None:
    (person,) = await answer(served, Tensor("frame", "BYTES", (MAX_BATCH, 1), [b"a"] * MAX_BATCH))
    assert person.shape[0] == MAX_BATCH


@pytest.mark.parametrize("outputs", [("x",), ("person", "person")])
async def test_unknown_or_repeated_outputs_are_refused(served: Served, outputs: tuple[str, ...]) -> None:
    with pytest.raises(TensorError):
        await answer(served, pixels(1), *outputs)


async def test_concurrent_calls_are_cancelled_when_one_fails() -> None:
    left = asyncio.Event()

    async def act(fails: bool) -> None:
        if fails:
            raise EngineError("no")
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with pytest.raises(EngineError):
        await map_concurrently(act, [(False,), (True,)], 2)
    async with asyncio.timeout(5):
        await left.wait()
