"""Patches of a frame at full resolution, which the network judges and which are searched for signs of damage."""

from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels, Size
from danmatte.quality.brightness import Bars

SIDE = 192  # pixels, as in the network's training
_MIN_SIDE = 32
_SPOTS = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))  # centres, as shares of the picture
_CALM = 4.0  # grey levels of deviation: patches below it, such as a clear sky, count less


class PatchPlace(NamedTuple):
    """The place of a patch, in pixels of the frame; all numbers are even, because chroma has half the resolution."""

    top: int
    left: int
    height: int
    width: int


def place_patches(size: Size, bars: Bars) -> list[PatchPlace]:
    """Return the places of five patches, or of one if the picture is hardly larger; black bars are left out."""
    top, left = int(size.height * bars.top), int(size.width * bars.left)
    inner = Size(size.height - top - int(size.height * bars.bottom), size.width - left - int(size.width * bars.right))
    height, width = (_even(min(SIDE, side)) for side in inner)
    if min(height, width) < _MIN_SIDE:
        return []
    spots = _SPOTS if inner.height * inner.width >= 2 * SIDE * SIDE else _SPOTS[:1]
    return [
        PatchPlace(
            _even(top + _begin(down, inner.height, height)),
            _even(left + _begin(along, inner.width, width)),
            height,
            width,
        )
        for down, along in spots
    ]


def _begin(middle: float, whole: int, part: int) -> float:
    """Return where a part begins whose centre is at this share of the whole; it is moved inside if necessary."""
    return min(max(0.0, middle * whole - part / 2), whole - part)


def _even(value: float) -> int:
    return int(value) // 2 * 2


def weigh_patches(patches: list[Pixels]) -> list[float]:
    """Return each patch's weight in a frame's score, by its brightness; patches without texture count little."""
    return [min(1.0, max(0.05, (float(cv2.meanStdDev(patch)[1][0, 0]) / _CALM) ** 2)) for patch in patches]


def mean_score(scores: list[float], weights: list[float]) -> float:
    """Return a frame's score, the weighted mean of its patches' scores."""
    return float(np.average(scores, weights=weights))
