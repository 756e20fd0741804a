"""NV12 in: a plane of luma and one of interleaved chroma, as video decoders give it."""

import cv2
import numpy as np

from danmatte.codecs.codec import Colour, Decoder, Header
from danmatte.errors import PictureError
from danmatte.frame import Pixels, Size

_CONVERSIONS = {"RGB": cv2.COLOR_YUV2RGB_NV12, "BGR": cv2.COLOR_YUV2BGR_NV12}


class Nv12(Decoder):
    """BT.601, limited range; even sizes, rows without padding."""

    media_type = "application/x-nv12"

    def claims(self, data: bytes) -> bool:
        return False

    def header(self, data: bytes, declared: Size | None) -> Header:
        if declared is None:
            raise PictureError("NV12: expected width and height in the query")
        if declared.height % 2 or declared.width % 2:
            raise PictureError(f"NV12: expected an even size, received {declared}")
        if len(data) != declared.pixels * 3 // 2:
            raise PictureError(f"NV12: expected {declared.pixels * 3 // 2} bytes for {declared}, received {len(data)}")
        return Header(declared)

    def pixels(self, data: bytes, header: Header, colour: Colour, at_least: Size) -> Pixels:
        planes = np.frombuffer(data, np.uint8).reshape(-1, header.size.width)
        return cv2.cvtColor(planes, _CONVERSIONS[colour])  # type: ignore[return-value]
