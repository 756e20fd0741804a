"""Masks without compression."""

from danmatte.codecs.codec import Encoder
from danmatte.frame import Pixels


class RawMask(Encoder):
    """One byte a pixel, row by row, 255 painted."""

    format = "raw"
    media_type = "application/octet-stream"

    def encode(self, alpha: Pixels) -> bytes:
        return alpha.tobytes()
