"""A mask's silhouette over time: gaps and holes closed, specks left out, a margin, and hiding.

`before` and `after` are the masks of the frames around, carried along the motion to the present one; None where there
is none: live nothing comes after, and nothing reaches over a cut. What they have counts only where their own pictures,
carried along likewise, are alike: where limbs are faster than flows follow, they aren't.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Bits, Pixels, Probabilities
from danmatte.video.motion import measure_likeness

MOST_MARGIN = 0.05  # share of the picture's height
_SPECK = 0.0005  # share of the picture: smaller islands go, smaller holes are filled
_HOLE = 0.02  # share of the person around it: smaller holes are filled, too
_SURE = 0.5  # pictures that are less alike, between 0 and 1, prove nothing
_BARS = np.ones((3, 3), np.uint8)  # what is thinner is an edge, which flows don't know so exactly
_GONE, _BACK = 0.06, 0.1  # the tallest person's share of the height: below the first the mask goes, and is back above
_FULL, _EMPTIER = 0.8, 0.66  # people's share of the picture: above the first the mask goes, and is back below
_STAY_MS = 200  # how long a mask that serves nobody stays


class Carried(NamedTuple):
    """What a frame around has, carried along the motion to the present one.

    Its mask, (H, W) float32 from 0 to 1; its picture, (H, W, 3) uint8; and how far that agrees with the present one's,
    (H, W) float32 from 0 to 1.
    """

    mask: Probabilities
    colours: Pixels
    agreed: Probabilities


def close_gaps(alpha: Probabilities, before: Carried | None, after: Carried | None) -> Probabilities:
    """`alpha` with what the frames before and after both have, such as a limb or a belly that is lost in one frame.

    The present picture isn't asked: it may be lit otherwise. The same array when nothing is missing.
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
    """A shape without what is thinner than 3 pixels, as 0 and 1; None where nothing is left."""
    opened = shape.astype(np.uint8)
    if cv2.countNonZero(opened):
        opened = cv2.morphologyEx(opened, cv2.MORPH_OPEN, _BARS)  # type: ignore[assignment]
    return opened if cv2.countNonZero(opened) else None


def clean(
    alpha: Probabilities, before: Carried | None = None, after: Carried | None = None
) -> tuple[Probabilities, float]:
    """`alpha` without specks and small holes, and the tallest island's share of the picture's height.

    An island that was there before may be half as small. A hole that isn't tiny is closed where a frame around, which
    looks the same there, has it closed; others are gaps, as between an arm and the body. The same array when there is
    nothing to do.
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
        alpha[cv2.dilate(gone, _BARS) > 0] *= np.float32(0.5)
        alpha[gone > 0] = 0
    if small:
        alpha[holes.paint(small) > 0] = 1
    tallest = max((islands.height(each) for each in islands if each not in lost), default=0)
    return alpha, tallest / len(alpha)


class _Parts:
    """The connected parts of a shape, (H, W) uint8 of 0 and 1; iteration gives their numbers."""

    def __init__(self, shape: Pixels) -> None:
        self._count, self.labels, self._facts, _ = cv2.connectedComponentsWithStats(shape, connectivity=4)

    def __iter__(self) -> Iterator[int]:
        return iter(range(1, self._count))

    def area(self, number: int) -> int:
        """Pixels of a part; the whole rest's, where the number is 0."""
        return int(self._facts[number, cv2.CC_STAT_AREA])

    def height(self, number: int) -> int:
        """Rows from the part's highest pixel to its lowest."""
        return int(self._facts[number, cv2.CC_STAT_HEIGHT])

    def cut(self, number: int) -> tuple[tuple[slice, slice], Bits]:
        """The rows and columns that the part lies in, and where it is there."""
        left, top, width, height = self._facts[number, :4].tolist()
        place = slice(top, top + height), slice(left, left + width)
        return place, self.labels[place] == number

    def paint(self, numbers: Sequence[int]) -> Pixels:
        """These parts as a picture of 0 and 1."""
        chosen = np.zeros(self._count, np.uint8)
        chosen[numbers] = 1
        return chosen[self.labels]  # type: ignore[no-any-return]


def _is_torn(holes: _Parts, number: int, islands: _Parts, around: Sequence[Carried | None]) -> bool:
    """Whether a hole is small beside its person, and a frame around, which looks the same there, has it closed."""
    place, where = holes.cut(number)
    (rows, columns), (height, width) = place, islands.labels.shape
    if not rows.start or not columns.start or rows.stop == height or columns.stop == width:
        return False  # it reaches the picture's border
    above = rows.start - 1, columns.start + int(where[0].argmax())  # of its highest pixels one: there the island is
    if holes.area(number) >= _HOLE * islands.area(int(islands.labels[above])):
        return False
    closed = [(each.mask[place] >= 0.5) & (each.agreed[place] >= _SURE) for each in around if each]
    return any(float(each[where].mean()) >= 0.5 for each in closed)


def widen(alpha: Probabilities, distance: float) -> Probabilities:
    """People and what is nearer than `distance` pixels to them: round around corners, half at that distance, soft."""
    outside = (alpha < 0.5).astype(np.uint8)
    if cv2.countNonZero(outside) == outside.size:
        return alpha
    away = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    around = np.clip(0.5 + (distance - away) / np.float32(1 + distance / 2), 0, 1)
    return cv2.max(alpha, around)  # type: ignore[return-value]


class Visibility:
    """Hides masks in shots where they serve nobody, with a distance between going and coming back, so that none blinks.

    When the tallest person is tiny, comments that pass behind are only torn; when people fill the screen, nothing could
    be read. Masks are cut at a half, so they go as a whole: a fading one would be torn.
    """

    def __init__(self) -> None:
        self._serves_ms: int | None = None  # when the mask last served somebody; None while it is hidden

    def step(self, tallest: float, coverage: float, pts_ms: int, *, cut: bool) -> bool:
        """Whether the next mask is shown.

        `tallest` is the tallest person's share of the picture's height, `coverage` people's share of its area.
        """
        shown = self._serves_ms is not None and not cut
        if tallest >= (_GONE if shown else _BACK) and coverage <= (_FULL if shown else _EMPTIER):
            self._serves_ms = pts_ms
        elif cut or self._serves_ms is None or pts_ms - self._serves_ms >= _STAY_MS:
            self._serves_ms = None
        return self._serves_ms is not None
