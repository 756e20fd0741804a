"""Named tensors in, named tensors out, without any transport."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest

from service.engine import FakeEngine, Inline, Served
from service.errors import EngineError, PictureError, TensorError
from service.frame import Pixels, Probabilities, Size
from service.inference import MASK, MAX_BATCH, Inference, Question, Tensor, spread
from service.manifest import Manifest
from service.metrics import Timing
from tests.service.toy import Toy, manifest

TOY = Toy()
SHAPE = (1, TOY.height, TOY.width, 3)


class Pictures:
    """Pictures whose only byte is their light; masks that say what they were made of."""

    async def fitted(self, body: bytes, manifest: Manifest, timing: Timing) -> tuple[Size, Pixels]:
        if not body:
            raise PictureError("empty")
        return Size(len(body), 7), np.full(SHAPE, body[0], np.uint8)

    async def infer(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        return await served.engine.infer(picture)

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        return f"{frame} {values.mean():.1f}".encode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """A toy that measures brightness."""
    told = msgspec.convert(manifest(TOY), Manifest)
    engine = FakeEngine(told)
    yield Served(told, engine)
    engine.close()


def pixels(*lights: int) -> Tensor:
    """A batch, each picture of one brightness."""
    values = np.stack([np.full(SHAPE[1:], light, np.uint8) for light in lights])
    return Tensor("frame", "UINT8", values.shape, values)


async def answer(served: Served, tensor: Tensor, *outputs: str) -> list[Tensor]:
    return await Inference(Pictures()).run(Question((tensor,), outputs), served, Timing())


async def test_a_batch_is_split_and_joined_in_order(served: Served) -> None:
    (person,) = await answer(served, pixels(0, 255, 51))
    assert (person.name, person.datatype, person.shape) == ("person", "FP32", (3, TOY.rows, TOY.columns, 1))
    assert np.array(person.values)[:, 0, 0, 0] == pytest.approx([0, 1, 0.2])


async def test_one_picture_is_not_copied(served: Served) -> None:
    seen: list[Pixels] = []

    class Watching(FakeEngine):
        async def infer(self, picture: Pixels) -> Probabilities:
            seen.append(picture)
            return await super().infer(picture)

    tensor = pixels(9)
    await answer(Served(served.manifest, Watching(served.manifest)), tensor)
    assert np.shares_memory(seen[0], tensor.values)


async def test_encoded_pictures_are_fitted(served: Served) -> None:
    person, masks = await answer(served, Tensor("frame", "BYTES", (2,), [b"\xff", b"\0\0"]), "person", MASK)
    assert np.array(person.values)[:, 0, 0, 0].tolist() == [1, 0]
    assert (masks.datatype, masks.shape, list(masks.values)) == ("BYTES", (2,), [b"7x1 1.0", b"7x2 0.0"])


async def test_a_tensors_mask_has_the_inputs_size(served: Served) -> None:
    (mask,) = await answer(served, pixels(255), MASK)
    assert list(mask.values) == [f"{TOY.width}x{TOY.height} 1.0".encode()]


async def test_one_bad_picture_fails_its_batch(served: Served) -> None:
    with pytest.raises(PictureError):
        await answer(served, Tensor("frame", "BYTES", (2,), [b"\xff", b""]))


class Slow(Pictures):
    """Pictures that take their time, and know the most of them that took it at once, by phase."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    @asynccontextmanager
    async def phase(self, name: str, timing: Timing) -> AsyncIterator[None]:
        self.now[name] += 1
        self.most[name] = max(self.most[name], self.now[name])
        with timing.phase(name):
            await asyncio.sleep(0.005)
        self.now[name] -= 1
        yield

    async def fitted(self, body: bytes, manifest: Manifest, timing: Timing) -> tuple[Size, Pixels]:
        async with self.phase("decode", timing):
            return await super().fitted(body, manifest, timing)

    async def infer(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        async with self.phase("infer", timing):
            return await super().infer(picture, served, timing)

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        async with self.phase("encode", timing):
            return await super().mask(values, frame, manifest, timing)


class AtOnce(FakeEngine):
    """An engine that infers where it is asked."""

    @property
    def inline(self) -> Inline:
        return lambda picture: pytest.fail("these pictures know how")


BATCH = Question((Tensor("frame", "BYTES", (12,), [b"a"] * 12),), ("person", MASK))


async def test_a_batch_takes_what_the_clock_says(served: Served) -> None:
    timing, began = Timing(), time.perf_counter()
    await Inference(Slow()).run(BATCH, served, timing)
    assert sum(timing.phases_ms.values()) <= 1000 * (time.perf_counter() - began)
    assert timing.phases_ms.keys() == {"decode", "infer", "encode"}
    assert min(timing.phases_ms.values()) >= 5


async def test_a_batch_does_not_fill_the_line_that_all_others_wait_in(served: Served) -> None:
    for engine, most in ((AtOnce(served.manifest), 4), (served.engine, 12)):  # one that gathers batches wants all
        pictures = Slow()
        person, masks = await Inference(pictures).run(BATCH, Served(served.manifest, engine), Timing())
        assert pictures.most == {"decode": 4, "infer": most, "encode": 4}
        assert (person.shape[0], len(masks.values)) == (12, 12)


async def test_a_closed_engine_is_an_error(served: Served) -> None:
    served.engine.close()
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
async def test_what_isnt_the_manifests_is_refused(served: Served, tensor: Tensor) -> None:
    with pytest.raises(TensorError):
        await answer(served, tensor)


async def test_the_largest_batch_passes(served: Served) -> None:
    (person,) = await answer(served, Tensor("frame", "BYTES", (MAX_BATCH, 1), [b"a"] * MAX_BATCH))
    assert person.shape[0] == MAX_BATCH


@pytest.mark.parametrize("outputs", [("x",), ("person", "person")])
async def test_outputs_are_known_and_named_once(served: Served, outputs: tuple[str, ...]) -> None:
    with pytest.raises(TensorError):
        await answer(served, pixels(1), *outputs)


async def test_the_rest_is_given_up_when_one_fails() -> None:
    left = asyncio.Event()

    async def act(fails: bool) -> None:
        if fails:
            raise EngineError("no")
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    with pytest.raises(EngineError):
        await spread(act, [False, True])
    async with asyncio.timeout(5):
        await left.wait()
