"""What a shot is: camera, animation, screen, slides or still, by plain rules on a few numbers.

The rules know flat colour, which drawings and screens have and cameras don't, and movement. They look at every sampled
frame of a shot and are wrong where these two are: a cartoon with film grain is a camera's, a camera's white wall at a
very low bit rate is a drawing.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np

from danmatte.frame import Pixels

Kind: TypeAlias = Literal["camera", "animation", "screen", "slides", "still"]

_BACKGROUND = 0.25  # share of a frame's brightness in one level of 64, from which on there is a background
_FLAT_DRAWING, _FLAT_SCREEN = 0.72, 0.78  # a camera's frames have 0.6, compressed as they are on the web
_STANDING = 0.15  # grey levels from frame to frame: nothing moves
_LOCAL = 0.12  # share of the frame that moves: more is no pointer and no typing
_LONGEST_SHOW_MS = 1500  # a shot that stands for less says nothing about moving


class Look(NamedTuple):
    """What a sampled frame looks like: shares of flat places and of the commonest brightness, 0 to 1."""

    flat: float
    background: float


class Movement(NamedTuple):
    """How a shot moves: the mean difference in grey levels, and the mean share of the frame that differs, 0 to 1."""

    change: float
    area: float


def look_at(patches: Sequence[Pixels], small: Pixels) -> Look:
    """The look of a frame by its patches of brightness, at its own resolution, and by all of it, made small."""
    flat = [
        cv2.countNonZero(cv2.compare(patch[:, 1:], patch[:, :-1], cv2.CMP_EQ)) / patch[:, 1:].size
        for patch in patches
        if patch.shape[1] > 1
    ]
    commonest = cv2.calcHist([small], [0], None, [64], [0, 256]).max() / small.size
    return Look(float(np.mean(flat or [0.0])), float(commonest))


def choose_kind(looks: Sequence[Look], movement: Movement, duration_ms: int) -> Kind:
    """The kind of a shot of at least one sampled frame."""
    flat, background = (float(np.median(values)) for values in zip(*looks, strict=True))
    drawn = flat > _FLAT_DRAWING
    on_screen = flat > _FLAT_SCREEN and background > _BACKGROUND
    if movement.change < _STANDING and duration_ms >= _LONGEST_SHOW_MS:
        return "slides" if on_screen else "still"
    if on_screen and movement.area < _LOCAL:
        return "screen"
    return "animation" if drawn else "camera"
