"""PNG and WebP pixels, by OpenCV."""

import cv2
import numpy as np

from danmatte.codecs.codec import Colour, Header
from danmatte.errors import PictureError
from danmatte.frame import Pixels

_FLAGS = {"RGB": cv2.IMREAD_COLOR_RGB, "BGR": cv2.IMREAD_COLOR}


def decoded(data: bytes, header: Header, colour: Colour, kind: str) -> Pixels:
    """The picture as stored, at the size its header claims; raises PictureError."""
    buffer = np.frombuffer(data, np.uint8)
    try:
        pixels = cv2.imdecode(buffer, _FLAGS[colour] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError(f"{kind}: {error}") from error
    if pixels is None or pixels.shape[:2] != header.size:
        raise PictureError(f"{kind}: expected a whole picture of {header.size}, received a corrupt one")
    return pixels  # type: ignore[return-value]
