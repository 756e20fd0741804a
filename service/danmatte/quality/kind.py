"""The kind of a shot (camera, animation, screen, slides or still), by simple rules on a few numbers.

The rules use movement, and areas of flat colour, which drawings and screens have and cameras don't. They are applied to
all sampled frames of a shot and fail where these numbers mislead: a cartoon with film grain counts as a camera, and a
white wall filmed at a very low bit rate as a drawing.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import cv2
import numpy as np

from danmatte.frame import Pixels

Kind: TypeAlias = Literal["camera", "animation", "screen", "slides", "still"]

_BACKGROUND = 0.25  # share of a frame's pixels in the most frequent of 64 levels: above it there is a background
_FLAT_DRAWING, _FLAT_SCREEN = 0.72, 0.78  # shares of flat pixels; camera frames compressed for the web have 0.6
_STANDING = 0.15  # grey levels of difference between frames: below it nothing moves
_LOCAL = 0.12  # share of the frame that moves: above it, it isn't only a pointer or typing
_MIN_STANDING_MS = 1500  # a shorter shot without movement isn't a still


class Look(NamedTuple):
    """The look of a sampled frame: the shares of flat pixels and of the most frequent brightness, 0 to 1."""

    flat: float
    background: float


class Movement(NamedTuple):
    """The movement in a shot: mean difference in grey levels, and mean share of the frame that differs, 0 to 1."""

    change: float
    area: float


def measure_look(patches: Sequence[Pixels], small: Pixels) -> Look:
    """Return the look of a frame, from patches of its brightness at full resolution and from the `small` frame."""
    flat = [
        cv2.countNonZero(cv2.compare(patch[:, 1:], patch[:, :-1], cv2.CMP_EQ)) / patch[:, 1:].size
        for patch in patches
        if patch.shape[1] > 1
    ]
    commonest = cv2.calcHist([small], [0], None, [64], [0, 256]).max() / small.size
    return Look(float(np.mean(flat or [0.0])), float(commonest))


def choose_kind(looks: Sequence[Look], movement: Movement, duration_ms: int) -> Kind:
    """Return the kind of a shot with at least one sampled frame."""
    flat, background = (float(np.median(values)) for values in zip(*looks, strict=True))
    drawn = flat > _FLAT_DRAWING
    on_screen = flat > _FLAT_SCREEN and background > _BACKGROUND
    if movement.change < _STANDING and duration_ms >= _MIN_STANDING_MS:
        return "slides" if on_screen else "still"
    if on_screen and movement.area < _LOCAL:
        return "screen"
    return "animation" if drawn else "camera"
