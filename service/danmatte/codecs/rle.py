"""A mask as COCO has it: compressed run lengths in JSON."""

import json

from danmatte.codecs.codec import Encoder
from danmatte.codecs.runs import coco_text, painted, run_lengths
from danmatte.frame import Pixels


class RleMask(Encoder):
    """`{"size": [height, width], "counts": "…"}` of what is at least half painted."""

    format = "rle"
    media_type = "application/json"

    def encode(self, alpha: Pixels) -> bytes:
        counts = coco_text(run_lengths(painted(alpha)))
        return json.dumps({"size": alpha.shape, "counts": counts.decode("ascii")}).encode()
