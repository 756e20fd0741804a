"""Decoding of NV12: a plane of luma and one of interleaved chroma, as video decoders output it."""

import cv2
import numpy as np

from danmatte.codecs.codec import Colour, PictureHeader, RawDecoder
from danmatte.errors import PictureError
from danmatte.frame import Pixels, Size

_CONVERSIONS = {"RGB": cv2.COLOR_YUV2RGB_NV12, "BGR": cv2.COLOR_YUV2BGR_NV12}


class Nv12(RawDecoder):
    """BT.601 with limited range, even sizes, and rows without padding."""

    media_type = "application/x-nv12"
    name = "NV12"

    def count_bytes(self, size: Size) -> int:
        if size.height % 2 or size.width % 2:
            raise PictureError(f"NV12: expected an even size, received {size}")
        return size.pixels * 3 // 2

    def decode(self, data: bytes, header: PictureHeader, colour: Colour, at_least: Size) -> Pixels:
        planes = np.frombuffer(data, np.uint8).reshape(-1, header.size.width)
        return cv2.cvtColor(planes, _CONVERSIONS[colour])  # type: ignore[return-value]
