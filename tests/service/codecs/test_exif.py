"""The EXIF field, as enemies write it."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte.codecs.exif import orientation


def block(order: str, value: int, tag: int = 0x0112) -> bytes:
    """A TIFF block of one entry."""
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}IHHHIHH", 8, 1, tag, 3, 1, value, 0)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_are_read(order: str) -> None:
    assert [orientation(block(order, value)) for value in range(1, 9)] == list(range(1, 9))


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
def test_what_is_broken_or_absent_is_upright(data: bytes) -> None:
    assert orientation(data) == 1


@given(st.binary(max_size=200))
def test_no_bytes_crash_it(data: bytes) -> None:
    for order in (b"II*\0", b"MM\0*"):
        assert 1 <= orientation(order + data) <= 8
