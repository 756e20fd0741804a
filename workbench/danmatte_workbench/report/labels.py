"""Names beside marks that neither cover each other nor a mark: each takes the first free place around its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from danmatte_workbench.report.markup import Markup, join
from danmatte_workbench.report.plot import Box, line, text

CHARACTER_PX, LINE_PX = 6.6, 15.0
NEAR_PX, FAR_PX = (11.0,), (26.0, 42.0, 60.0, 80.0)
# Sideways first, as names read; then above and below, then the corners.
PLACES = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7))


@dataclass(frozen=True)
class Wish:
    """A name that wants to stand beside (x, y)."""

    x: float
    y: float
    words: str
    name: str


def place(wishes: Sequence[Wish], obstacles: Sequence[Box], bounds: Box) -> Markup:
    """The names, those first in the list first; one that finds no place is left out."""
    taken = list(obstacles)
    drawn = []
    for wish in wishes:
        found = next((spot for spot in _spots(wish) if _free(spot[0], taken, bounds)), None)
        if found:
            box, far = found
            taken += [box, *(_tied(wish, box) if far else ())]
            drawn.append(_draw(wish, box, far=far))
    return join(drawn)


def _spots(wish: Wish) -> Iterator[tuple[Box, bool]]:
    width = CHARACTER_PX * len(wish.words)
    for distances, far in ((NEAR_PX, False), (FAR_PX, True)):
        for distance in distances:
            for across, down in PLACES:
                x, y = wish.x + across * distance, wish.y + down * distance
                left = x if across > 0 else x - width if across < 0 else x - width / 2
                top = y - LINE_PX / 2 if abs(down) < 1 else y - LINE_PX if down < 0 else y
                yield Box(left, top, left + width, top + LINE_PX), far


def _free(box: Box, taken: Sequence[Box], bounds: Box) -> bool:
    return box.within(bounds) and not any(box.meets(other) for other in taken)


def _tie(wish: Wish, box: Box) -> tuple[float, float]:
    """Where the line from the mark ends: the nearest point of the name's box."""
    return min(max(wish.x, box.left), box.right), min(max(wish.y, box.top), box.bottom)


def _tied(wish: Wish, box: Box) -> list[Box]:
    """The line in short pieces, so that later names keep off it."""
    across, down = _tie(wish, box)
    steps = [(wish.x + (across - wish.x) * part / 8, wish.y + (down - wish.y) * part / 8) for part in range(9)]
    return [Box(x - 2, y - 2, x + 2, y + 2) for x, y in steps]


def _draw(wish: Wish, box: Box, *, far: bool) -> Markup:
    """The words start where the box does; a far name is tied to its mark by a thin line."""
    left_of = box.right <= wish.x
    anchor, x = ("end", box.right) if left_of else ("start", box.left)
    if box.left < wish.x < box.right:
        anchor, x = "middle", (box.left + box.right) / 2
    words = text(x, box.bottom - 4, wish.words, name=f"label {wish.name}", anchor=anchor)
    if not far:
        return words
    return join((line(wish.x, wish.y, *_tie(wish, box), name="tie"), words))
