"""A mask's outlines as chain code: for each pixel edge, straight on or a turn. A byte holds five of these steps.

Deflated, a 320×180 mask of real clips takes 77 to 93 bytes; run lengths take 147 to 203.

A turn is coded relative to the previous turn (after Freeman's chain code and its angle-difference variants). Along a
slanted outline left and right turns alternate, so "opposite to the previous turn" is the most frequent code and
compresses well.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.codecs.outline import Points
from danmatte.errors import TrackError
from danmatte.frame import Bits, Size

Corner: TypeAlias = tuple[int, int]  # x and y

_WEIGHTS = 3 ** np.arange(5)
_MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))  # east, south, west, north: the next one is a turn to the right


def orient_eastward(outline: Points) -> Points:
    """Return an outline, of a shape or of a hole, so that it starts eastwards from its top left corner."""
    return outline if outline[1, 1] == outline[0, 1] else np.roll(outline[::-1], 1, axis=0)


def encode_chains(outlines: Iterable[Points]) -> bytes:
    """Return the chain code of outlines that start eastwards, one after the other; the last byte is padded with 0.

    Each unit step except the first is 0 (straight on), 1 (opposite to the previous turn) or 2 (same as the previous
    turn). An outline's first turn is compared with a left turn. An outline ends when it returns to its start.
    """
    chains = [np.empty(0, np.int64)]
    for outline in outlines:
        edges = np.roll(outline, -1, axis=0) - outline
        ends = np.cumsum(np.abs(edges).sum(axis=1))
        right = np.sign(edges[:-1, 0] * edges[1:, 1] - edges[:-1, 1] * edges[1:, 0])
        turns: npt.NDArray[np.int64] = np.zeros(ends[-1] - 1, np.int64)
        turns[ends[:-1] - 1] = 1 + (right == np.concatenate([[-1], right[:-1]]))
        chains.append(turns)
    steps = np.concatenate(chains)
    return (np.pad(steps, (0, -len(steps) % 5)).reshape(-1, 5) @ _WEIGHTS).astype(np.uint8).tobytes()


def fill_chains(starts: Iterable[Corner], data: Iterator[int], size: Size) -> Bits:
    """Return the mask inside the outlines from these corners; consumes only their bytes. Raises TrackError."""
    turns, stride = _read_turns(data), size.width + 1
    limit = size.height * stride  # outlines of a real mask cross each edge at most once
    crossed = list(islice((place for start in starts for place in _follow_outline(start, turns, size)), limit + 1))
    if len(crossed) > limit:
        raise TrackError(f"turns: expected outlines of a mask of {size}, received ones that cross its rows too often")
    # A pixel is inside if an odd number of vertical edges lies to its left in its row.
    toggles = np.bincount(np.array(crossed, np.int64), minlength=size.height * stride).reshape(size.height, stride)
    inside: Bits = np.cumsum(toggles[:, :-1], axis=1) % 2 == 1
    return inside


def _read_turns(data: Iterator[int]) -> Iterator[int]:
    for byte in data:
        if byte >= 243:
            raise TrackError(f"turns: expected a byte below 243, received {byte}")
        for _ in range(5):
            byte, turn = divmod(byte, 3)
            yield turn
    raise TrackError("turns: truncated")


def _follow_outline(start: Corner, turns: Iterator[int], size: Size) -> Iterator[int]:
    """Yield each vertical edge of an outline: the pixel to its right, as row times (width + 1) plus column."""
    height, width = size
    (x, y), heading, side = start, 0, -1
    while True:
        right, down = _MOVES[heading]
        if down:
            yield min(y, y + down) * (width + 1) + x
        x, y = x + right, y + down
        if not (0 <= x <= width and 0 <= y <= height):
            raise TrackError(f"outline from {start}: expected corners within {size}, received {(x, y)}")
        if (x, y) == start:
            return
        if turn := next(turns):
            side = side if turn == 2 else -side
            heading = (heading + side) % 4
