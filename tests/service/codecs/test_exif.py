"""EXIF orientation, including malformed blocks."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from danmatte.codecs.exif import read_orientation, turn_upright
from tests.service import pictures


def block(order: str, value: int, tag: int = 0x0112) -> bytes:
    """Return a TIFF block of one entry."""
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IHHHIHH", 8, 1, tag, 3, 1, value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_orientation_is_read_in_both_byte_orders(order: str) -> None:
    assert [read_orientation(block(order, value)) for value in range(1, 9)] == list(range(1, 9))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"II",
        b"II*\0\xff\xff\xff\xff",
        block("<", 9),
        block("<", 0),
        block("<", 6, 0x0100),
        b"XX" + bytes(50),
    ],
)
def test_a_malformed_or_absent_orientation_means_upright(data: bytes) -> None:
    assert read_orientation(data) == 1


@given(st.binary(max_size=200))
def test_random_bytes_give_a_valid_orientation(data: bytes) -> None:
    for order in (b"II*\0", b"MM\0*"):
        assert 1 <= read_orientation(order + data) <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_rotated_as_pillow_does(orientation: int) -> None:
    stored = pictures.noise(48, 64)
    viewer = ImageOps.exif_transpose(Image.open(io.BytesIO(pictures.turned(orientation, stored, "PNG"))))
    shown = turn_upright(stored, orientation)
    assert np.array_equal(shown, np.asarray(viewer))
    assert shown.flags.c_contiguous


def test_an_upright_picture_is_not_copied() -> None:
    stored = pictures.noise(4, 6)
    assert turn_upright(stored, 1) is stored
