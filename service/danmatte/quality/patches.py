"""Patches of a frame at its own resolution: what the network judges, and where signs of damage are looked for."""

from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels, Size
from danmatte.quality.brightness import Bars

SIDE = 192  # as the network was trained on
_SMALLEST = 32
_SPOTS = ((0.5, 0.5), (0.25, 0.25), (0.25, 0.75), (0.75, 0.25), (0.75, 0.75))  # middles, in shares of the picture
_CALM = 4.0  # grey levels of deviation: a patch of less says little, as a clear sky does


class PatchPlace(NamedTuple):
    """Where a patch lies, in pixels of the frame; all are even, so that its colours lie there, too."""

    top: int
    left: int
    height: int
    width: int


def place_patches(size: Size, bars: Bars) -> list[PatchPlace]:
    """Five patches, or one where the picture is hardly larger than that; none in black bars."""
    top, left = int(size.height * bars.top), int(size.width * bars.left)
    inner = Size(size.height - top - int(size.height * bars.bottom), size.width - left - int(size.width * bars.right))
    height, width = (_even(min(SIDE, side)) for side in inner)
    if min(height, width) < _SMALLEST:
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
    """Where a part begins whose middle lies at this share of the whole."""
    return min(max(0.0, middle * whole - part / 2), whole - part)


def _even(value: float) -> int:
    return int(value) // 2 * 2


def weigh_patches(patches: list[Pixels]) -> list[float]:
    """What each patch of brightness counts in a frame's score: little where it is calm."""
    return [min(1.0, max(0.05, (float(cv2.meanStdDev(patch)[1][0, 0]) / _CALM) ** 2)) for patch in patches]


def mean_score(scores: list[float], weights: list[float]) -> float:
    """A frame's score of its patches' scores."""
    return float(np.average(scores, weights=weights))
