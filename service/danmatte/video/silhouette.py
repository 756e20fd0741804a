"""A mask's silhouette over time: gaps and holes closed, blinking parts and specks left out, a margin, and hiding.

`before` and `after` are the masks of the frames around, carried along the motion to the present one, (H, W) float32;
None where there is none: live nothing comes after, and nothing reaches over a cut.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from danmatte.frame import Bits, Pixels, Probabilities

MOST_MARGIN = 0.05  # share of the picture's height
_SPECK = 0.0005  # share of the picture: smaller islands go, smaller holes are filled
_HOLE = 0.02  # share of the person around it: smaller holes are filled, too
_BARS = np.ones((3, 3), np.uint8)  # what is thinner is an edge, which flows don't know so exactly
_GONE, _BACK = 0.06, 0.1  # the tallest person's share of the height: below the first the mask goes, and is back above
_FULL, _EMPTIER = 0.8, 0.66  # people's share of the picture: above the first the mask goes, and is back below
_STAY_MS = 200  # how long a mask that serves nobody stays


def close_gaps(alpha: Probabilities, before: Probabilities | None, after: Probabilities | None) -> Probabilities:
    """`alpha` with what the frames before and after both have, such as a limb or a belly that is lost in one frame.

    The same array when nothing is missing.
    """
    if before is None or after is None:
        return alpha
    around = cv2.min(before, after)
    missing = ((around >= 0.5) & (alpha < 0.5)).astype(np.uint8)
    if cv2.countNonZero(missing):
        missing = cv2.morphologyEx(missing, cv2.MORPH_OPEN, _BARS)  # type: ignore[assignment]
    if not cv2.countNonZero(missing):
        return alpha
    whole: Probabilities = np.where(missing > 0, np.maximum(alpha, around), alpha)
    return whole


def clean(
    alpha: Probabilities, before: Probabilities | None = None, after: Probabilities | None = None
) -> tuple[Probabilities, float]:
    """`alpha` without specks, blinking islands and small holes, and the tallest island's share of the picture's height.

    An island that neither the frame before nor the one after has blinks. One that was there before may be half as
    small. The same array when there is nothing to do.
    """
    inside = (alpha >= 0.5).astype(np.uint8)
    islands, holes = _Parts(inside), _Parts(1 - inside)
    smallest = _SPECK * alpha.size
    lost = [each for each in islands if _is_lost(islands, each, smallest, before, after)]
    small = [each for each in holes if holes.area(each) < max(smallest, _HOLE * _measure_around(holes, each, islands))]
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


def _is_lost(
    islands: _Parts, number: int, smallest: float, before: Probabilities | None, after: Probabilities | None
) -> bool:
    area = islands.area(number)
    if area >= smallest and (before is None or after is None):
        return False
    if area < smallest / 2:
        return True
    place, where = islands.cut(number)
    known = [each is not None and bool((each[place][where] >= 0.5).any()) for each in (before, after)]
    return not known[0] if area < smallest else not any(known)


def _measure_around(holes: _Parts, number: int, islands: _Parts) -> int:
    """The area of the island that has this hole; 0 for what reaches the picture's border."""
    (rows, columns), where = holes.cut(number)
    height, width = islands.labels.shape
    if not rows.start or not columns.start or rows.stop == height or columns.stop == width:
        return 0
    above = rows.start - 1, columns.start + int(where[0].argmax())  # of its highest pixels one: there the island is
    return islands.area(int(islands.labels[above]))


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
