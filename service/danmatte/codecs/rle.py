"""Masks in COCO's format: compressed run lengths in JSON."""

import json

import numpy as np
from pycocotools import mask as coco

from danmatte.codecs.codec import Encoder, to_bits
from danmatte.frame import Pixels


class RleMask(Encoder):
    """`{"size": [height, width], "counts": "…"}` of the pixels that are at least half painted."""

    format = "rle"
    media_type = "application/json"

    def encode(self, alpha: Pixels) -> bytes:
        runs = coco.encode(np.asfortranarray(to_bits(alpha).view(np.uint8)))
        return json.dumps({"size": alpha.shape, "counts": runs["counts"].decode("ascii")}).encode()
