"""Masks of one bit a pixel, deflated."""

import zlib

import numpy as np

from danmatte.codecs.codec import Encoder, to_bits
from danmatte.frame import Pixels


class BitsMask(Encoder):
    """Rows from the top, each padded to whole bytes, the leftmost pixel in the highest bit; compressed with zlib."""

    format = "bits"
    media_type = "application/x-bits"

    def encode(self, alpha: Pixels) -> bytes:
        return zlib.compress(np.packbits(to_bits(alpha), axis=1).tobytes(), 6)
