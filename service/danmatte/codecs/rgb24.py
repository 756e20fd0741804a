"""RGB24 in: three bytes a pixel, rows without padding."""

import numpy as np

from danmatte.codecs.codec import Colour, Decoder, Header
from danmatte.errors import PictureError
from danmatte.frame import Pixels, Size


class Rgb24(Decoder):
    """Red, green, blue, from the top left."""

    media_type = "application/x-rgb24"

    def claims(self, data: bytes) -> bool:
        return False

    def header(self, data: bytes, declared: Size | None) -> Header:
        if declared is None:
            raise PictureError("RGB24: expected width and height in the query")
        if len(data) != declared.pixels * 3:
            raise PictureError(f"RGB24: expected {declared.pixels * 3} bytes for {declared}, received {len(data)}")
        return Header(declared)

    def pixels(self, data: bytes, header: Header, colour: Colour, at_least: Size) -> Pixels:
        pixels = np.frombuffer(data, np.uint8).reshape(*header.size, 3)
        return pixels if colour == "RGB" else np.ascontiguousarray(pixels[:, :, ::-1])
