"""From a picture's bytes to a mask's bytes: what the mask shows."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np
import pytest

from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, FakeEngine, Served
from danmatte.errors import InvalidParameterError, PictureTooLargeError
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.inference.matting import MaskOptions, MaskRequest, Matte, Matting
from danmatte.telemetry.timing import Timing
from tests.service import pictures
from tests.service.toy import Toy, manifest

RAW = MaskOptions("raw")
raw = partial(replace, RAW)


def served(**shape: object) -> Served:
    """Return a fake engine with this toy's shape."""
    facts = msgspec.convert(manifest(Toy(**shape)), Manifest)
    return Served(facts, FakeEngine(facts))


@pytest.fixture
def matting() -> Iterator[Matting]:
    made = Matting(workers=1, max_pixels=10**6)
    yield made
    made.close()


async def matte(matting: Matting, body: bytes, options: MaskOptions = RAW, **shape: object) -> Matte:
    """Return the matte of a picture, raw unless the options say otherwise."""
    return await matting.run(MaskRequest(body, options), served(**shape), Timing())


def grey(*values: int) -> bytes:
    """Return a picture of vertical bands of these greys, as wide as the toy's input."""
    return pictures.encoded(
        ".png",
        np.repeat(np.repeat(np.array([values], np.uint8), 160 // len(values), 1), 96, 0)[..., None].repeat(3, 2),
    )


async def test_a_soft_mask_has_the_probabilities_of_the_graph(matting: Matting) -> None:
    mask = (await matte(matting, grey(0, 64, 128, 255), RAW)).mask
    assert mask.alpha[50, [10, 60, 100, 150]].tolist() == [0, 64, 128, 255]
    assert mask.coverage == pytest.approx((0 + 64 + 128 + 255) / 4 / 255, abs=0.01)


async def test_a_hard_mask_paints_pixels_from_the_threshold_up(matting: Matting) -> None:
    for threshold, expected in ((0.2, [0, 255, 255, 255]), (0.5, [0, 0, 255, 255]), (1.0, [0, 0, 0, 255])):
        mask = (await matte(matting, grey(0, 64, 128, 255), raw(threshold=threshold))).mask
        assert mask.alpha[50, [10, 60, 100, 150]].tolist() == expected
        assert set(np.unique(mask.alpha)) <= {0, 255}
    assert mask.coverage == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("threshold", [None, 0.5])
async def test_the_background_mask_is_the_inverse_of_the_person_mask(matting: Matting, threshold: float | None) -> None:
    body = grey(0, 64, 128, 255)
    person = (await matte(matting, body, raw(threshold=threshold))).mask
    background = (await matte(matting, body, raw(threshold=threshold, polarity="background"))).mask
    assert np.array_equal(person.alpha, 255 - background.alpha)
    assert person.coverage == background.coverage


@pytest.mark.parametrize("threshold", [None, 0.5])
async def test_a_margin_widens_the_mask_around_people(matting: Matting, threshold: float | None) -> None:
    body = grey(0, 255, 0, 0)
    bare = (await matte(matting, body, raw(threshold=threshold))).mask
    wide = (await matte(matting, body, raw(threshold=threshold, margin=0.05))).mask  # 4.8 of 96 pixels
    assert np.flatnonzero(wide.alpha[50] >= 128).tolist() == list(range(36, 84))
    assert (wide.alpha >= bare.alpha).all()
    assert wide.coverage > bare.coverage
    inverted = (await matte(matting, body, raw(threshold=threshold, margin=0.05, polarity="background"))).mask
    assert np.array_equal(inverted.alpha, 255 - wide.alpha)


async def test_the_mask_has_the_requested_size(matting: Matting, jpeg: bytes) -> None:
    for size in (Size(180, 320), Size(1, 1), Size(777, 33)):
        answer = await matte(matting, jpeg, raw(size=size))
        assert answer.mask.size == size
        assert len(answer.body) == size.pixels


@pytest.mark.parametrize("rule", ["stretch", "letterbox"])
@pytest.mark.parametrize("frame", [(720, 1280), (1280, 720), (721, 1281), (100, 90), (360, 640)])
async def test_a_jpeg_decoded_at_reduced_size_gives_the_same_mask(
    matting: Matting, rule: str, frame: tuple[int, int]
) -> None:
    pixels = pictures.rectangle(*frame)
    small = await matte(matting, pictures.encoded(".jpg", pixels), raw(threshold=0.5), rule=rule)
    whole = await matte(matting, pictures.encoded(".png", pixels), raw(threshold=0.5), rule=rule)
    assert small.mask.size == frame
    assert (small.mask.alpha != whole.mask.alpha).mean() < 0.001


@pytest.mark.parametrize("channel", [0, 1, 2])
@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp"])
async def test_the_graph_gets_colours_in_its_own_channel_order(matting: Matting, channel: int, extension: str) -> None:
    pixels = np.zeros((96, 160, 3), np.uint8)
    pixels[..., channel] = 255
    seen: dict[str, Pixels] = {}
    for colour in ("RGB", "BGR"):
        facts = msgspec.convert(manifest(Toy(colour=colour)), Manifest)
        engine = FakeEngine(facts)
        inner = engine.compute

        def spy(inputs: Arrays, colour: str = colour, inner=inner) -> Arrays:
            seen[colour] = inputs[0][0, 50, 80]
            return inner(inputs)

        engine.compute = spy
        body = pictures.encoded(extension, pixels)
        await matting.run(MaskRequest(body, RAW), Served(facts, engine), Timing())
    assert seen["RGB"].argmax() == channel
    assert seen["BGR"].argmax() == 2 - channel


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
async def test_a_picture_with_an_orientation_gets_the_mask_of_the_displayed_picture(
    matting: Matting, kind: str, orientation: int
) -> None:
    shown = pictures.rectangle(96, 160)
    undo = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}[orientation]
    stored = {
        1: shown,
        2: shown[:, ::-1],
        3: shown[::-1, ::-1],
        4: shown[::-1],
        5: shown.transpose(1, 0, 2),
        6: np.rot90(shown, -1),
        7: np.rot90(shown, 2).transpose(1, 0, 2),
        8: np.rot90(shown),
    }[undo]
    body = pictures.turned(orientation, np.ascontiguousarray(stored), kind)
    mask = (await matte(matting, body, raw(threshold=0.5))).mask
    assert mask.size == (96, 160)
    assert (mask.alpha != shown[..., 0]).mean() < 0.02


async def test_a_picture_over_the_limit_is_refused_by_its_header(matting: Matting) -> None:
    with pytest.raises(PictureTooLargeError, match="1001x1000"):
        await matte(matting, pictures.png_claiming(1001, 1000), RAW)


async def test_a_mask_over_the_limit_is_refused(matting: Matting, jpeg: bytes) -> None:
    with pytest.raises(InvalidParameterError, match="1001x1000"):
        await matte(matting, jpeg, raw(size=Size(1000, 1001)))


async def test_a_mask_too_long_for_webp_is_refused(matting: Matting, jpeg: bytes) -> None:
    options = MaskOptions("webp", Size(1, 16_384))
    with pytest.raises(InvalidParameterError, match="16383"):
        await matting.run(MaskRequest(jpeg, options), served(), Timing())


class Waiting(FakeEngine):
    """Computes in the caller's thread, once the test allows it."""

    runs_in_caller = True

    def __init__(self, facts: Manifest) -> None:
        super().__init__(facts)
        self.begun, self.let = threading.Event(), threading.Event()

    def compute(self, inputs: Arrays) -> Arrays:
        self.begun.set()
        assert self.let.wait(10)
        return super().compute(inputs)


async def test_inference_in_the_callers_thread_gives_the_same_mask(matting: Matting, jpeg: bytes) -> None:
    facts = msgspec.convert(manifest(Toy()), Manifest)
    engine, wanted, timing = Waiting(facts), MaskRequest(jpeg, RAW), Timing()
    engine.let.set()
    answer = await matting.run(wanted, Served(facts, engine), timing)
    assert answer.body == (await matting.run(wanted, Served(facts, FakeEngine(facts)), Timing())).body
    assert list(timing.phases_ms) == ["queue", "decode", "infer", "encode"]


async def test_a_cancelled_request_ends_before_its_next_step(matting: Matting, jpeg: bytes) -> None:
    facts = msgspec.convert(manifest(Toy()), Manifest)
    engine, wanted, painted = Waiting(facts), MaskRequest(jpeg, RAW), []

    def stabilise(*given: object) -> tuple[Probabilities, Grid]:
        painted.append(given)
        raise AssertionError

    pending = asyncio.create_task(matting.run(wanted, Served(facts, engine), Timing(), stabilise))
    await asyncio.to_thread(engine.begun.wait, 10)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    engine.let.set()
    await matting.run(wanted, Served(facts, engine), Timing())  # the only thread is available again
    assert painted == []
