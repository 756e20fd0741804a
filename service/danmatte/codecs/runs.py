"""A mask at one bit a pixel, and its run lengths in COCO's order."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from danmatte.frame import Pixels

Bits: TypeAlias = npt.NDArray[np.bool_]
Counts: TypeAlias = npt.NDArray[np.int64]


def painted(alpha: Pixels) -> Bits:
    """The (H, W) pixels that are at least half painted."""
    return alpha >= 128


def run_lengths(bits: Bits) -> Counts:
    """Lengths of the runs down the columns, left to right, in turn unpainted and painted; the first may be 0."""
    line = bits.ravel(order="F")
    turns = np.flatnonzero(line[1:] != line[:-1]) + 1
    start = [0, 0] if line[0] else [0]
    return np.diff(np.concatenate([start, turns, [line.size]]))


def coco_text(counts: Counts) -> bytes:
    """COCO's compressed counts (cocoapi, maskApi.c), each but the first three as its difference to the one two before.

    Groups of 5 bits, lowest first, a sixth bit where more follow, as characters from `0` on.
    """
    values = np.concatenate([counts[:3], counts[3:] - counts[1:-2]])
    groups = values[:, np.newaxis] >> np.arange(0, 35, 5)
    digits, rest = groups & 0x1F, groups >> 5
    more = rest != -(digits >> 4)
    kept = np.hstack([np.ones((len(more), 1), np.bool_), more[:, :-1]])
    characters: Pixels = (digits + 48 + 0x20 * more)[kept].astype(np.uint8)
    return characters.tobytes()
