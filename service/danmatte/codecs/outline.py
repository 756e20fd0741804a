"""From a mask to the outline of what it paints: polygons along the pixels' own edges, so nothing is lost."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.codecs.runs import Bits
from danmatte.frame import Size

Points: TypeAlias = npt.NDArray[np.int64]


def outlines(bits: Bits) -> Iterator[Points]:
    """The closed outlines of the true pixels, each (N, 2) corners x, y; holes turn the other way round.

    Along each row of pixel edges the corners pair up into horizontal edges, along each column into vertical
    ones; an outline takes one of each in turn. Where two pixels touch by their corners it counts twice.
    """
    ys, xs = _corners(bits)
    if not len(ys):
        return
    down = np.lexsort((ys, xs))
    vertical = np.empty_like(down)
    vertical[down[0::2]], vertical[down[1::2]] = down[1::2], down[0::2]
    below = np.minimum(ys, bits.shape[0] - 1), np.minimum(xs, bits.shape[1] - 1)
    points = np.column_stack([xs, ys])
    for corners in _tours(vertical.tolist(), bits[below].tolist()):
        yield points[corners]


def _corners(bits: Bits) -> tuple[Points, Points]:
    """Rows and columns of the corners, row by row."""
    pixels = np.pad(bits, 1).view(np.uint8)  # a byte at a time is faster than a bool
    steps = pixels[:, 1:] ^ pixels[:, :-1]
    odd = steps[1:] ^ steps[:-1]
    twice = steps[1:] & steps[:-1] & (pixels[1:, 1:] ^ pixels[:-1, 1:])
    places = np.flatnonzero(odd | twice)
    ys, xs = np.divmod(np.repeat(places, 1 + twice.flat[places]), twice.shape[1])
    return ys, xs


def _tours(vertical: list[int], filled: list[bool]) -> Iterator[list[int]]:
    """The corners of each outline, from its top left one on, what is filled on the right hand.

    `filled` tells of the pixel below and to the right of a corner; only a top left one is asked.
    """
    seen = bytearray(len(vertical))
    for first in range(len(vertical)):
        if seen[first]:
            continue
        corners, corner, level = [], first, filled[first]
        while not seen[corner]:
            seen[corner] = 1
            corners.append(corner)
            corner = corner ^ 1 if level else vertical[corner]
            level = not level
        yield corners


def chamfered(outline: Points, size: Size) -> Points:
    """The outline in half pixels, its corners cut off between the middles of pixel edges, so that stairs become slopes.

    No pixel's centre changes sides, and corners on the picture's border stay.
    """
    corners = 2 * outline
    after = np.sign(np.roll(corners, -1, axis=0) - corners)
    before = np.roll(after, 1, axis=0)
    border = (outline == 0).any(axis=1) | (outline == (size.width, size.height)).any(axis=1)
    points = np.stack([corners - before, corners, corners + after], axis=1)
    kept = np.ones(points.shape[:2], np.bool_)
    kept[:, 1] = border
    return _turning(_moving(points[kept]))


def _moving(points: Points) -> Points:
    """Without points on top of the one before."""
    moves = (points != np.roll(points, 1, axis=0)).any(axis=1)
    moving: Points = points[moves]
    return moving


def _turning(points: Points) -> Points:
    """Without points on the straight line between their neighbours."""
    there, back = np.roll(points, -1, axis=0) - points, points - np.roll(points, 1, axis=0)
    turning: Points = points[there[:, 0] * back[:, 1] != there[:, 1] * back[:, 0]]
    return turning
