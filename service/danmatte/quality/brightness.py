"""What a whole frame's brightness says, made small: black, wrongly exposed, between black bars."""

from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels

_BLACK_MEAN, _BLACK_HIGH = 26.0, 48  # grey levels; 16 is black on television
_DARK, _BRIGHT = 20, 235
_MAY_BE_DARK, _MAY_BE_BRIGHT = 0.25, 0.1  # shares of a frame, as of a night or a sky
_FLAT_CONTRAST = 48.0  # grey levels between the darkest and the brightest twentieth
_BAR = 26  # grey levels: no brighter, a line belongs to a black bar
_SPECKS = 0.05  # of a line may be brighter
_WIDEST = 0.4  # of the frame on each side


class Bars(NamedTuple):
    """Black bars, in shares of the frame's height and width."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def any(self) -> bool:
        """Whether there are some at all."""
        return max(self) > 0


NO_BARS = Bars(0.0, 0.0, 0.0, 0.0)


def is_black(small: Pixels) -> bool:
    """Whether a frame, (H, W) uint8, shows nothing."""
    return float(small.mean()) < _BLACK_MEAN and float(np.percentile(small, 98)) < _BLACK_HIGH


def judge_exposure(small: Pixels) -> float:
    """From 0 to 100: less where much of the frame is lost in black or white, or where there is hardly any contrast."""
    levels = cv2.calcHist([small], [0], None, [256], [0, 256]).ravel()
    darker = np.cumsum(levels) / small.size  # share of the frame, up to each level
    lost = max(0.0, float(darker[_DARK]) - _MAY_BE_DARK)
    lost += max(0.0, 1 - float(darker[_BRIGHT - 1]) - _MAY_BE_BRIGHT)
    low, high = np.searchsorted(darker, (0.05, 0.95))
    contrast = min(1.0, float(high - low) / _FLAT_CONTRAST)
    return round(100 * max(0.0, 1 - 1.5 * lost) * contrast, 1)


def find_bars(small: Pixels) -> Bars:
    """The black bars round a frame that isn't black; they are only bars where both of a pair are there."""
    shown = (small > _BAR).astype(np.uint8)
    rows, columns = (shown.mean(axis=axis) <= _SPECKS for axis in (1, 0))
    top, bottom = _count_first(rows), _count_first(rows[::-1])
    left, right = _count_first(columns), _count_first(columns[::-1])
    tall, wide = (bool(min(pair) > 0 and max(pair) < _WIDEST) for pair in ((top, bottom), (left, right)))
    return Bars(top * tall, bottom * tall, left * wide, right * wide)


def join_bars(found: list[Bars]) -> Bars:
    """The bars that all frames have."""
    return Bars(*(round(min(values), 4) for values in zip(*found, strict=True))) if found else NO_BARS


def _count_first(flags: np.ndarray) -> float:
    """The share of flags before the first that isn't set."""
    missing = np.flatnonzero(~flags)
    return float(missing[0] / len(flags)) if len(missing) else 1.0
