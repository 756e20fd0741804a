"""A mask's outlines as turns: along pixel edges, straight on or to which side, five to a byte."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.codecs.outline import Points
from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks.track import Bits

Place: TypeAlias = tuple[int, int]

_WEIGHTS = 3 ** np.arange(5)
_MOVES = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right turns are one on


def eastward(outline: Points) -> Points:
    """The outline from its top left corner eastwards, whichever way it went."""
    return outline if outline[1, 1] == outline[0, 1] else np.roll(outline[::-1], 1, axis=0)


def packed(outlines: Iterable[Points]) -> bytes:
    """The turns of eastward outlines, one after the other."""
    turns = np.concatenate([np.empty(0, np.int64), *map(_turns, outlines)])
    return (np.pad(turns, (0, -len(turns) % 5)).reshape(-1, 5) @ _WEIGHTS).astype(np.uint8).tobytes()


def _turns(outline: Points) -> npt.NDArray[np.int64]:
    """For every unit step but the first: 0 straight on, 1 to the other side than the turn before, 2 to the same."""
    edges = np.roll(outline, -1, axis=0) - outline
    ends = np.cumsum(np.abs(edges).sum(axis=1))
    right = np.sign(edges[:-1, 0] * edges[1:, 1] - edges[:-1, 1] * edges[1:, 0])
    turns = np.zeros(ends[-1] - 1, np.int64)
    turns[ends[:-1] - 1] = 1 + (right == np.concatenate([[-1], right[:-1]]))
    return turns


def unpacked(starts: Iterable[Place], data: Iterator[int], size: Size) -> Bits:
    """The mask inside the outlines from these corners; takes their bytes. Raises TrackError."""
    turns, stride = _unpacked(data), size.width + 1
    every = size.height * stride  # honest outlines cross an edge once
    crossed = list(islice((place for start in starts for place in _crossed(start, turns, size)), every + 1))
    if len(crossed) > every:
        raise TrackError(f"turns: expected outlines of a mask of {size}, received ones that cross its rows too often")
    toggles = np.bincount(np.array(crossed, np.int64), minlength=size.height * stride).reshape(size.height, stride)
    inside: Bits = np.cumsum(toggles[:, :-1], axis=1) % 2 == 1
    return inside


def _unpacked(data: Iterator[int]) -> Iterator[int]:
    for byte in data:
        if byte >= 243:
            raise TrackError(f"turns: expected a byte below 243, received {byte}")
        for _ in range(5):
            byte, turn = divmod(byte, 3)
            yield turn
    raise TrackError("turns: truncated")


def _crossed(start: Place, turns: Iterator[int], size: Size) -> Iterator[int]:
    """Where the outline goes along the left of a pixel, as row times (width + 1) plus column."""
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
