"""Decoding of RGB24: three bytes a pixel."""

import numpy as np

from danmatte.codecs.codec import Colour, PictureHeader, RawDecoder
from danmatte.frame import Pixels, Size


class Rgb24(RawDecoder):
    """Red, green, blue, from the top left; rows without padding."""

    media_type = "application/x-rgb24"
    name = "RGB24"

    def count_bytes(self, size: Size) -> int:
        return size.pixels * 3

    def decode(self, data: bytes, header: PictureHeader, colour: Colour, at_least: Size) -> Pixels:
        pixels = np.frombuffer(data, np.uint8).reshape(*header.size, 3)
        return pixels if colour == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1])
