"""JPEG in, by libjpeg-turbo."""

import simplejpeg

from service.codecs import exif
from service.codecs.codec import Colour, Decoder, Header
from service.errors import PictureError
from service.frame import Pixels, Size

# Each scan of a progressive picture costs a pass: real ones have about ten, hundreds are an attack.
_SCANS = 64


class Jpeg(Decoder):
    """Baseline and progressive. Frames much larger than needed are decoded at a half, quarter or eighth."""

    media_type = "image/jpeg"

    def claims(self, data: bytes) -> bool:
        return data.startswith(b"\xff\xd8\xff")

    def header(self, data: bytes, declared: Size | None) -> Header:
        try:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
        except ValueError as error:
            raise PictureError(f"JPEG: {error}") from error
        return Header(Size(height, width), exif.orientation(_exif(data)))

    def pixels(self, data: bytes, header: Header, colour: Colour, at_least: Size) -> Pixels:
        if data.count(b"\xff\xda") > _SCANS:
            raise PictureError(f"JPEG: expected at most {_SCANS} scans")
        height, width = _reduced(header.size, at_least)
        try:
            pixels: Pixels = simplejpeg.decode_jpeg(data, colour, min_height=height, min_width=width)
        except ValueError as error:
            raise PictureError(f"JPEG: {error}") from error
        return pixels


def _reduced(size: Size, at_least: Size) -> Size:
    """The smallest size the DCT gives without rounding, so that positions stay exact."""
    for divisor in (8, 4, 2):
        height, width = size.height // divisor, size.width // divisor
        exact = size.height % divisor == 0 and size.width % divisor == 0
        if exact and height >= at_least.height and width >= at_least.width:
            return Size(height, width)
    return size


def _exif(data: bytes) -> bytes:
    """The EXIF block, or nothing, from the segments before the first table or frame."""
    start = 2
    while data[start : start + 1] == b"\xff" and 0xE0 <= data[start + 1] <= 0xEF:
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if data[start + 4 : start + 10] == b"Exif\0\0":
            return data[start + 10 : end]
        start = end
    return b""
