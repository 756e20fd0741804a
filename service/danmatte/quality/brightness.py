"""Measurements on a whole frame's brightness, scaled down: black frames, exposure, and black bars."""

from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels

_BLACK_MEAN, _BLACK_HIGH = 26.0, 48  # grey levels; video black is 16
_DARK, _BRIGHT = 20, 235
_MAY_BE_DARK, _MAY_BE_BRIGHT = 0.25, 0.1  # shares of a frame that are normal, as in a night or a bright sky
_FLAT_CONTRAST = 48.0  # grey levels between the darkest and the brightest twentieth
_BAR = 26  # grey level: pixels up to this belong to a black bar
_SPECKS = 0.05  # share of a bar's line that may be brighter
_MAX_BAR = 0.4  # share of the frame on each side


class Bars(NamedTuple):
    """Black bars, as shares of the frame's height and width."""

    top: float
    bottom: float
    left: float
    right: float

    @property
    def any(self) -> bool:
        """Whether there is any bar."""
        return max(self) > 0


NO_BARS = Bars(0.0, 0.0, 0.0, 0.0)


def is_black(small: Pixels) -> bool:
    """Return whether a frame, (H, W) uint8, is black."""
    return float(small.mean()) < _BLACK_MEAN and float(np.percentile(small, 98)) < _BLACK_HIGH


def judge_exposure(small: Pixels) -> float:
    """Return a score from 0 to 100; it is low if much of the frame is black or white, or if contrast is low."""
    levels = cv2.calcHist([small], [0], None, [256], [0, 256]).ravel()
    darker = np.cumsum(levels) / small.size  # share of the frame, up to each level
    lost = max(0.0, float(darker[_DARK]) - _MAY_BE_DARK)
    lost += max(0.0, 1 - float(darker[_BRIGHT - 1]) - _MAY_BE_BRIGHT)
    low, high = np.searchsorted(darker, (0.05, 0.95))
    contrast = min(1.0, float(high - low) / _FLAT_CONTRAST)
    return round(100 * max(0.0, 1 - 1.5 * lost) * contrast, 1)


def find_bars(small: Pixels) -> Bars:
    """Return the black bars around a frame that isn't black; they count only if both sides of a pair have one."""
    shown = (small > _BAR).astype(np.uint8)
    rows, columns = (shown.mean(axis=axis) <= _SPECKS for axis in (1, 0))
    top, bottom = _count_first(rows), _count_first(rows[::-1])
    left, right = _count_first(columns), _count_first(columns[::-1])
    tall, wide = (bool(min(pair) > 0 and max(pair) < _MAX_BAR) for pair in ((top, bottom), (left, right)))
    return Bars(top * tall, bottom * tall, left * wide, right * wide)


def join_bars(found: list[Bars]) -> Bars:
    """Return the bars that all frames have in common."""
    return Bars(*(round(min(values), 4) for values in zip(*found, strict=True))) if found else NO_BARS


def _count_first(flags: np.ndarray) -> float:
    """Return the share of flags before the first one that isn't set."""
    missing = np.flatnonzero(~flags)
    return float(missing[0] / len(flags)) if len(missing) else 1.0
