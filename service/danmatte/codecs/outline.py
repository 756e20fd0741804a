"""From a mask to the outlines of what it paints: polygons along the pixels' own edges, so nothing is lost."""

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.frame import Bits, Size

Points: TypeAlias = npt.NDArray[np.int64]  # (N, 2) corners x, y


def trace_outlines(bits: Bits) -> Iterator[Points]:
    """The closed outlines of the true pixels of (H, W), each (N, 2) corners x, y from its top left one on.

    What is filled lies on the right hand, so that holes turn the other way round. x is 0 to W, y is 0 to H.

    Along each row of pixel edges the corners pair up into horizontal edges, along each column into vertical
    ones; an outline takes one of each in turn. No neighbour is searched for, so the work grows with the number of
    corners, not of pixels.
    """
    ys, xs = _find_corners(bits)
    if not len(ys):
        return
    down = np.lexsort((ys, xs))  # the corners column by column: two that follow each other are a vertical edge's ends
    opposite = np.empty_like(down)
    opposite[down[0::2]], opposite[down[1::2]] = down[1::2], down[0::2]
    # Whether the pixel below and to the right of a corner is filled; only asked of top left corners.
    filled = bits[np.minimum(ys, bits.shape[0] - 1), np.minimum(xs, bits.shape[1] - 1)].tolist()
    points, vertical = np.column_stack([xs, ys]), opposite.tolist()
    seen = bytearray(len(vertical))
    for first in range(len(vertical)):
        if seen[first]:
            continue
        corners, corner, is_horizontal = [], first, filled[first]
        while not seen[corner]:
            seen[corner] = 1
            corners.append(corner)
            corner = corner ^ 1 if is_horizontal else vertical[corner]  # row by row, pairs have the numbers 2n, 2n + 1
            is_horizontal = not is_horizontal
        yield points[corners]


def _find_corners(bits: Bits) -> tuple[Points, Points]:
    """Rows and columns of the corners, row by row; where two pixels touch by their corners only, there are two."""
    pixels = np.pad(bits, 1).view(np.uint8)  # arithmetic on bytes is faster than on bools
    steps = pixels[:, 1:] ^ pixels[:, :-1]
    odd = steps[1:] ^ steps[:-1]  # of the four pixels around, one or three are filled
    diagonal = steps[1:] & steps[:-1] & (pixels[1:, 1:] ^ pixels[:-1, 1:])
    places = np.flatnonzero(odd | diagonal)
    ys, xs = np.divmod(np.repeat(places, 1 + diagonal.flat[places]), diagonal.shape[1])
    return ys, xs


def chamfer(outline: Points, size: Size) -> Points:
    """The outline in half pixels, its corners cut off between the middles of pixel edges, so that stairs become slopes.

    `size` is the mask's. No pixel's centre changes sides, and corners on the picture's border stay.
    """
    # Without the steps: 13 to 18 % larger than the square outline, and a browser draws slopes instead of stairs.
    corners = 2 * outline
    after = np.sign(np.roll(corners, -1, axis=0) - corners)
    before = np.roll(after, 1, axis=0)
    border = (outline == 0).any(axis=1) | (outline == (size.width, size.height)).any(axis=1)
    points = np.stack([corners - before, corners, corners + after], axis=1)
    kept = np.ones(points.shape[:2], np.bool_)
    kept[:, 1] = border
    points = points[kept]
    moving = points[(points != np.roll(points, 1, axis=0)).any(axis=1)]  # an edge of one pixel gives its middle twice
    there, back = np.roll(moving, -1, axis=0) - moving, moving - np.roll(moving, 1, axis=0)
    turning: Points = moving[there[:, 0] * back[:, 1] != there[:, 1] * back[:, 0]]  # not on a straight line
    return turning
