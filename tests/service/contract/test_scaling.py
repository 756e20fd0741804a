"""Downscaled pictures: every pixel is the mean of its area, with either library."""

import ctypes
import mmap
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from danmatte.contract import scaling
from danmatte.contract.scaling import shrink
from danmatte.frame import Pixels, Size


def noise(height: int, width: int, number: int = 0) -> Pixels:
    """Return noise, the hardest picture: pixels and channels are independent."""
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def shares(length: int, wanted: int) -> np.ndarray:
    """Return the weight of each old pixel in each new one, (wanted, length)."""
    edges = np.arange(wanted + 1) * length / wanted
    pixels = np.arange(length)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.clip(inside, 0, 1) * wanted / length


def average_areas(pixels: Pixels, size: Size) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.einsum(
        "yr,rcx,dc->ydx", shares(height, size.height), pixels.astype(float), shares(width, size.width), optimize=True
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((720, 1280), (417, 417)),
        ((720, 1280), (288, 512)),
        ((1080, 1918), (513, 513)),
        ((541, 963), (289, 513)),
        ((720, 1281), (720, 400)),
        ((721, 1280), (93, 1280)),
        ((333, 1280), (330, 161)),
        ((720, 1280), (360, 640)),
        ((2000, 3000), (31, 47)),
        ((65, 90), (64, 41)),
        ((300, 300), (1, 1)),
    ],
)
def test_every_pixel_is_the_mean_of_its_area(before: tuple[int, int], after: tuple[int, int]) -> None:
    pixels = noise(*before)
    off = np.abs(shrink(pixels, Size(*after)) - average_areas(pixels, Size(*after)))
    assert off.max() < 4
    assert off.mean() < 0.5


def test_read_only_and_non_contiguous_pictures_are_accepted() -> None:
    whole = noise(720, 1280)
    part, fixed = whole[10:610, 20:1020], whole[10:610, 20:1020].copy()
    fixed.flags.writeable = False
    assert (shrink(part, Size(417, 417)) == shrink(fixed, Size(417, 417))).all()
    assert (whole == noise(720, 1280)).all()


def test_concurrent_calls_with_many_sizes_do_not_interfere() -> None:
    """There are also more sizes than a thread caches tables for."""
    orders = [(noise(300 + 7 * number, 400, number), Size(150 + number, 170)) for number in range(2 * scaling._KEPT)]
    alone = [shrink(*order) for order in orders]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda order: shrink(*order), orders * 4))
    assert all((found == expected).all() for found, expected in zip(together, alone * 4, strict=True))


def place_before_forbidden_page(pixels: Pixels, slack_bytes: int) -> Pixels:
    """Return a copy of the pixels that ends this many bytes before unreadable memory."""
    whole_bytes = pixels.nbytes + slack_bytes
    pages = -(-whole_bytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + pages * mmap.PAGESIZE
    assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start), mmap.PAGESIZE, 0) == 0
    offset = pages * mmap.PAGESIZE - whole_bytes
    placed: Pixels = np.frombuffer(memory, np.uint8, pixels.nbytes, offset).reshape(pixels.shape)
    placed[:] = pixels
    return placed


def shrink_at_the_end_of_memory() -> None:
    """The process would crash if anything after the pixels were read."""
    for height, width in ((720, 1279), (719, 1277), (361, 641), (541, 963), (720, 1281)):
        pixels, size = noise(height, width), Size(288, 512)
        for slack_bytes in (0, 1, 16, 48, 96, 255, 256, 300):
            assert (shrink(place_before_forbidden_page(pixels, slack_bytes), size) == shrink(pixels, size)).all()


@pytest.mark.skipif(sys.platform != "linux", reason="mprotect(2)")
def test_no_memory_after_the_pixels_is_read() -> None:
    code = "from tests.service.contract import test_scaling; test_scaling.shrink_at_the_end_of_memory()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
