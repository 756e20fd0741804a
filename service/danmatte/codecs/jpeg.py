"""Decoding of JPEG with libjpeg-turbo."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import simplejpeg

from danmatte.codecs import exif
from danmatte.codecs.codec import Colour, Decoder, PictureHeader
from danmatte.errors import PictureError
from danmatte.frame import Pixels, Size

# Each scan of a progressive picture takes a pass. Real pictures have about ten scans; hundreds are an attack.
_SCANS = 64
# If a picture is at least this much larger than needed, simple chroma upsampling isn't visible after downscaling.
_PLAIN = 1.5
_MAX_REPAIRS, _MAX_EXTRANEOUS_BYTES = 4, 16
_END = b"\xff\xd9"
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")  # libjpeg's jerror.h
_EXIF, _SEQUENTIAL, _SCAN = 0xE1, (0xC0, 0xC1), 0xDA
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SIZED = _FRAMES | {0xC4, 0xCC, _SCAN, 0xDB, 0xDD, 0xFE} | frozenset(range(0xE0, 0xF0))


class Jpeg(Decoder):
    """Baseline and progressive JPEG. Frames much larger than needed are decoded smaller, or with simple upsampling."""

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
    """Return the result of `read`, the repaired bytes that it was given, and warnings about the original bytes.

    As in viewers, bytes between two segments are removed, and a missing end marker is added, because the picture itself
    is complete. Raises PictureError for any other error.
    """
    warnings: list[str] = []
    while True:
        try:
            return read(data), data, warnings
        except ValueError as error:
            repaired = _repair(data, str(error)) if len(warnings) < _MAX_REPAIRS else None
            if repaired is None:
                raise PictureError(f"JPEG: {error}") from error
            data = repaired
            warnings.append(str(error))


def _repair(data: bytes, warning: str) -> bytes | None:
    """Return the bytes without the cause of a libjpeg warning; None if a part of the picture may be missing."""
    if warning.startswith("Premature end of JPEG file"):
        return None if data.endswith(_END) else data + _END
    found = _EXTRANEOUS.search(warning)
    if not found:
        return None
    count, marker = int(found[1]), bytes([0xFF, int(found[2], 16)])
    start = 2 + sum(4 + len(content) for _, content in _read_segments(data))
    if marker == _END:
        start = data.rfind(_END) - count
    if count > _MAX_EXTRANEOUS_BYTES:  # after the last scan, these may be picture data after a corrupt bit
        return None
    if data[start + count : start + count + 2] != marker:
        return None
    return data[:start] + data[start + count :]


def _choose_size(size: Size, at_least: Size) -> Size:
    """Return the smallest exact fraction of the size that the DCT can decode to, but at least `at_least`."""
    # A fraction that isn't exact would be rounded, which shifts every position by up to half a pixel.
    for divisor in (8, 4, 2):
        height, width = size.height // divisor, size.width // divisor
        exact = size.height % divisor == 0 and size.width % divisor == 0
        if exact and height >= at_least.height and width >= at_least.width:
            return Size(height, width)
    return size


def _read_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and content of every segment, up to the first scan's header or the first invalid segment."""
    start = 2
    while data[start : start + 1] == b"\xff" and start + 4 <= len(data) and data[start + 1] in _SIZED:
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        yield data[start + 1], data[start + 4 : end]
        if data[start + 1] == _SCAN:
            return
        start = end


def _is_in_one_scan(data: bytes) -> bool:
    """Return whether the first scan has the whole picture; libjpeg then reads no other scan (its jdinput.c).

    This takes a tenth of a millisecond less than searching a whole 720p frame for scans.
    """
    components = 0
    for marker, content in _read_segments(data):
        if marker in _FRAMES:
            components = content[5] if marker in _SEQUENTIAL and len(content) > 5 else 0
        elif marker == _SCAN:
            return content[:1] == bytes([components]) != b"\0"
    return False
