"""People's share of a frame and the scale of the shot, measured in the mask."""

from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from danmatte.frame import Bits

Scale: TypeAlias = Literal["none", "wide", "full", "medium", "close"]
SCALES: tuple[Scale, ...] = get_args(Scale)
NOBODY: Scale = "none"

_MIN_SHARE = 0.003  # of the frame: less is nobody, or too small to be noticed
_CLOSE, _MEDIUM = 0.35, 0.1  # of the frame
_TALL, _WHOLE = 0.75, 0.3  # of the frame's height


class People(NamedTuple):
    """People's share of the frame, 0 to 1, and the shot's scale."""

    share: float
    scale: Scale


def measure_people(mask: Bits) -> People:
    """Measure the people in a mask, (H, W).

    In a `close` shot a face or two fill much of the frame. In a `medium` one figures are cut off at the lower border,
    in a `full` one they are complete and large, and in a `wide` one they are small.
    """
    share = float(mask.mean())
    if share < _MIN_SHARE:
        return People(round(share, 4), NOBODY)
    rows = np.flatnonzero(mask.any(axis=1))
    height = (rows[-1] - rows[0] + 1) / mask.shape[0]
    cut_off = rows[-1] >= mask.shape[0] - 2
    if share >= _CLOSE:
        scale: Scale = "close"
    elif cut_off and (share >= _MEDIUM or height >= _TALL):
        scale = "medium"
    else:
        scale = "full" if height >= _WHOLE else "wide"
    return People(round(share, 4), scale)
