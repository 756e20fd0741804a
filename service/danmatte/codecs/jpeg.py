"""JPEG in, by libjpeg-turbo."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import simplejpeg

from danmatte.codecs import exif
from danmatte.codecs.codec import Colour, Decoder, PictureHeader
from danmatte.errors import PictureError
from danmatte.frame import Pixels, Size

# Each scan of a progressive picture costs a pass: real ones have about ten, hundreds are an attack.
_SCANS = 64
# So many times as large as needed, repeated colours look like smoothed ones once the picture is made smaller.
_PLAIN = 1.5
_MOST_MENDED, _MOST_EXTRANEOUS = 4, 16
_END = b"\xff\xd9"
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")  # libjpeg's jerror.h
_EXIF, _SEQUENTIAL, _SCAN = 0xE1, (0xC0, 0xC1), 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SIZED = _FRAMES | {0xC4, 0xCC, _SCAN, 0xDB, 0xDD, 0xFE} | frozenset(range(0xE0, 0xF0))


class Jpeg(Decoder):
    """Baseline and progressive. Frames much larger than needed are decoded smaller, or with plainer colours."""

    media_type = "image/jpeg"

    def claims(self, data: bytes) -> bool:
        return data.startswith(b"\xff\xd8\xff")

    def read_header(self, data: bytes, declared: Size | None) -> PictureHeader:
        (height, width, _, _), whole, warnings = _tolerate(simplejpeg.decode_jpeg_header, data)
        applications = (content for marker, content in _read_segments(whole) if marker == _EXIF)
        block = next((content[6:] for content in applications if content.startswith(b"Exif\0\0")), b"")
        return PictureHeader(Size(height, width), exif.read_orientation(block), warnings)

    def decode(self, data: bytes, header: PictureHeader, colour: Colour, at_least: Size) -> Pixels:
        if not _is_in_one_scan(data) and data.count(b"\xff\xda") > _SCANS:
            raise PictureError(f"JPEG: expected at most {_SCANS} scans")
        size = _choose_size(header.size, at_least)
        plain = all(have >= _PLAIN * wanted for have, wanted in zip(size, at_least, strict=True))
        decode = partial(
            simplejpeg.decode_jpeg,
            colorspace=colour,
            min_height=size.height,
            min_width=size.width,
            fastupsample=plain,
        )
        pixels: Pixels
        pixels, _, warnings = _tolerate(decode, data)
        header.warnings[:] = warnings
        return pixels


def _tolerate(read: Callable[[bytes], Any], data: bytes) -> tuple[Any, bytes, list[str]]:
    """What `read` makes of a JPEG, the bytes that it was made of, and what was wrong with those that came.

    Bytes between two segments are left out, and the end is put there where only that is missing, as viewers have it:
    the picture is all there. Whatever else is wrong raises PictureError.
    """
    warnings: list[str] = []
    while True:
        try:
            return read(data), data, warnings
        except ValueError as error:
            mended = _mend(data, str(error)) if len(warnings) < _MOST_MENDED else None
            if mended is None:
                raise PictureError(f"JPEG: {error}") from error
            data = mended
            warnings.append(str(error))


def _mend(data: bytes, complaint: str) -> bytes | None:
    """The bytes without what libjpeg only warns of; None where a part of the picture may be missing."""
    if complaint.startswith("Premature end of JPEG file"):
        return None if data.endswith(_END) else data + _END
    found = _EXTRANEOUS.search(complaint)
    if not found:
        return None
    count, marker = int(found[1]), bytes([0xFF, int(found[2], 16)])
    start = 2 + sum(4 + len(content) for _, content in _read_segments(data))
    if marker == _END:
        start = data.rfind(_END) - count
    if count > _MOST_EXTRANEOUS:  # after the last scan, these would be what a wrong bit kept from being read
        return None
    if data[start + count : start + count + 2] != marker:
        return None
    return data[:start] + data[start + count :]


def _choose_size(size: Size, at_least: Size) -> Size:
    """The smallest size not below `at_least` that the DCT gives without rounding, so that positions stay exact."""
    # Other fractions would be rounded, and shift every position by up to half a pixel.
    for divisor in (8, 4, 2):
        height, width = size.height // divisor, size.width // divisor
        exact = size.height % divisor == 0 and size.width % divisor == 0
        if exact and height >= at_least.height and width >= at_least.width:
            return Size(height, width)
    return size


def _read_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and content of every segment up to the first scan's header, or to whatever isn't one."""
    start = 2
    while data[start : start + 1] == b"\xff" and start + 4 <= len(data) and data[start + 1] in _SIZED:
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        yield data[start + 1], data[start + 4 : end]
        if data[start + 1] == _SCAN:
            return
        start = end


def _is_in_one_scan(data: bytes) -> bool:
    """Whether all of the picture is surely in the first scan: libjpeg reads no other then (its jdinput.c).

    A tenth of a millisecond less than to look through all of a 720p frame.
    """
    components = 0
    for marker, content in _read_segments(data):
        if marker in _FRAMES:
            components = content[5] if marker in _SEQUENTIAL and len(content) > 5 else 0
        elif marker == _SCAN:
            return content[:1] == bytes([components]) != b"\0"
    return False
