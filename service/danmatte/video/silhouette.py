"""A mask's silhouette over time: closing gaps and holes, removing specks, adding a margin, and hiding masks.

`before` and `after` are the masks of the neighbouring frames, warped along the motion to the current frame. They are
None if there is no such frame: live video has no later frame, and nothing is carried across a cut. They are used only
where the neighbours' pictures, warped likewise, look alike, because optical flow can't follow fast limbs.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Bits, Pixels, Probabilities
from danmatte.video.motion import measure_likeness

MAX_MARGIN = 0.05  # share of the picture's height
_SPECK = 0.0005  # share of the picture: smaller islands are removed, smaller holes are filled
_HOLE = 0.02  # share of the person around it: smaller holes are filled if a neighbouring frame has none there
_SURE = 0.5  # likeness of pictures, 0 to 1: below it, a neighbouring frame isn't used
_KERNEL = np.ones((3, 3), np.uint8)  # thinner shapes are edges, where optical flow is inexact
# Hysteresis: a mask is hidden beyond the first value and shown again only beyond the second.
_GONE, _BACK = 0.06, 0.1  # the tallest person's share of the height
_FULL, _EMPTIER = 0.8, 0.66  # people's share of the picture
_STAY_MS = 200  # how long a useless mask stays visible


class Carried(NamedTuple):
    """A neighbouring frame, warped along the motion to the current frame.

    `mask` is (H, W) float32 from 0 to 1, `colours` the picture, (H, W, 3) uint8, and `agreed` how alike it is to the
    current frame's picture, (H, W) float32 from 0 to 1.
    """

    mask: Probabilities
    colours: Pixels
    agreed: Probabilities


def close_gaps(alpha: Probabilities, before: Carried | None, after: Carried | None) -> Probabilities:
    """Return `alpha` with the parts that both neighbouring frames have, such as a limb that is missing in one frame.

    The current picture isn't compared, because its lighting may differ. Returns the same array if nothing is missing.
    """
    if before is None or after is None:
        return alpha
    around = cv2.min(before.mask, after.mask)
    missing = _open_shape((around >= 0.5) & (alpha < 0.5))
    if missing is not None:
        missing = _open_shape((missing > 0) & (measure_likeness(before.colours, after.colours) >= _SURE))
    if missing is None:
        return alpha
    whole: Probabilities = np.where(missing > 0, np.maximum(alpha, around), alpha)
    return whole


def _open_shape(shape: Bits) -> Pixels | None:
    """Return a shape, as 0 and 1, without parts thinner than 3 pixels; None if nothing is left."""
    opened = shape.astype(np.uint8)
    if cv2.countNonZero(opened):
        opened = cv2.morphologyEx(opened, cv2.MORPH_OPEN, _KERNEL)  # type: ignore[assignment]
    return opened if cv2.countNonZero(opened) else None


def clean(
    alpha: Probabilities, before: Carried | None = None, after: Carried | None = None
) -> tuple[Probabilities, float]:
    """Return `alpha` without specks and small holes, and the tallest island's share of the picture's height.

    An island that existed in the previous frame is kept down to half the size. A larger hole is filled only if a
    neighbouring frame that looks the same there has none; otherwise it is a real gap, as between an arm and the body.
    Returns the same array if nothing changes.
    """
    inside = (alpha >= 0.5).astype(np.uint8)
    islands, holes = _Parts(inside), _Parts(1 - inside)
    smallest = _SPECK * alpha.size
    lost = []
    for each in islands:
        place, where = islands.cut(each)
        was_there = before is not None and bool((before.mask[place][where] >= 0.5).any())
        if islands.area(each) < (smallest / 2 if was_there else smallest):
            lost.append(each)
    small = [each for each in holes if holes.area(each) < smallest or _is_torn(holes, each, islands, (before, after))]
    if lost or small:
        alpha = alpha.copy()
    if lost:
        gone = islands.paint(lost)
        alpha[cv2.dilate(gone, _KERNEL) > 0] *= np.float32(0.5)
        alpha[gone > 0] = 0
    if small:
        alpha[holes.paint(small) > 0] = 1
    tallest = max((islands.height(each) for each in islands if each not in lost), default=0)
    return alpha, tallest / len(alpha)


class _Parts:
    """The connected parts of a shape, (H, W) uint8 of 0 and 1; iteration yields their numbers, from 1 on."""

    def __init__(self, shape: Pixels) -> None:
        self._count, self.labels, self._facts, _ = cv2.connectedComponentsWithStats(shape, connectivity=4)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, self._count))

    def area(self, number: int) -> int:
        """Return the pixels of a part; number 0 is everything outside of the shape."""
        return int(self._facts[number, cv2.CC_STAT_AREA])

    def height(self, number: int) -> int:
        """Return the number of rows from a part's highest pixel to its lowest."""
        return int(self._facts[number, cv2.CC_STAT_HEIGHT])

    def cut(self, number: int) -> tuple[tuple[slice, slice], Bits]:
        """Return the rows and columns of a part's bounding box, and the part's pixels in the box."""
        left, top, width, height = self._facts[number, :4].tolist()
        place = slice(top, top + height), slice(left, left + width)
        return place, self.labels[place] == number

    def paint(self, numbers: Sequence[int]) -> Pixels:
        """Return these parts as a picture of 0 and 1."""
        chosen = np.zeros(self._count, np.uint8)
        chosen[numbers] = 1
        return chosen[self.labels]  # type: ignore[no-any-return]


def _is_torn(holes: _Parts, number: int, islands: _Parts, around: Sequence[Carried | None]) -> bool:
    """Return whether a hole is small relative to its person, and filled in a neighbour that looks the same there."""
    place, where = holes.cut(number)
    (rows, columns), (height, width) = place, islands.labels.shape
    if not rows.start or not columns.start or rows.stop == height or columns.stop == width:
        return False  # it reaches the picture's border
    above = rows.start - 1, columns.start + int(where[0].argmax())  # above a highest pixel of the hole is the island
    if holes.area(number) >= _HOLE * islands.area(int(islands.labels[above])):
        return False
    closed = [(each.mask[place] >= 0.5) & (each.agreed[place] >= _SURE) for each in around if each]
    return any(float(each[where].mean()) >= 0.5 for each in closed)


def widen(alpha: Probabilities, distance: float) -> Probabilities:
    """Return `alpha` widened by `distance` pixels: corners become round and edges soft, with 0.5 at `distance`."""
    outside = (alpha < 0.5).astype(np.uint8)
    if cv2.countNonZero(outside) == outside.size:
        return alpha
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    around = np.clip(0.5 + (distance - away) / np.float32(1 + distance / 2), 0, 1)
    return cv2.max(alpha, around)  # type: ignore[return-value]


class Visibility:
    """A switch that hides masks in shots where they are of no use, with hysteresis so that they don't flicker.

    If the tallest person is tiny, a mask only damages comments; if people fill the screen, no comment could be read. A
    mask is hidden at once, not faded, because masks are cut at 0.5 and a fading one would have ragged edges.
    """

    def __init__(self) -> None:
        self._useful_ms: int | None = None  # when the mask was last of use; None while it is hidden

    def step(self, tallest: float, coverage: float, pts_ms: int, *, cut: bool) -> bool:
        """Return whether the next mask is shown.

        `tallest` is the tallest person's share of the picture's height, `coverage` people's share of its area.
        """
        shown = self._useful_ms is not None and not cut
        if tallest >= (_GONE if shown else _BACK) and coverage <= (_FULL if shown else _EMPTIER):
            self._useful_ms = pts_ms
        elif cut or self._useful_ms is None or pts_ms - self._useful_ms >= _STAY_MS:
            self._useful_ms = None
        return self._useful_ms is not None
