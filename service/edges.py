"""The shape of a mask: its edges drawn along the picture's, specks, a margin, and whether it serves anybody."""

from typing import TypeAlias

import cv2
import numpy as np

from service.frame import Pixels, Probabilities

Box: TypeAlias = tuple[int, int]

_RADIUS, _EPSILON = 2, 1e-3
_SPECK = 0.0005  # share of the picture: smaller islands go, smaller holes are filled
_TINY, _SMALL = 0.06, 0.12  # the tallest person's share of the height: up to the first no mask, from the other all
_LARGE, _FULL = 0.6, 0.85  # people's share of the picture: up to the first all, from the other no mask
_FADE_MS = 400


def guided(alpha: Probabilities, grey: Pixels) -> Probabilities:
    """`alpha` with its edges drawn to the picture's (guided filter: He, Sun, Tang, ECCV 2010)."""
    guide: Probabilities = np.multiply(grey, np.float32(1 / 255), dtype=np.float32)
    mean_guide, mean_alpha = _mean(guide), _mean(alpha)
    variance = _mean(np.square(guide)) - np.square(mean_guide)
    slope = (_mean(guide * alpha) - mean_guide * mean_alpha) / (variance + np.float32(_EPSILON))
    drawn: Probabilities = np.clip(_mean(slope) * guide + _mean(mean_alpha - slope * mean_guide), 0, 1)
    return drawn


def _mean(values: Probabilities) -> Probabilities:
    return cv2.boxFilter(values, -1, (2 * _RADIUS + 1, 2 * _RADIUS + 1))  # type: ignore[return-value]


def without_specks(alpha: Probabilities) -> tuple[Probabilities, float]:
    """`alpha` without tiny islands and holes, and the tallest island's share of the picture's height."""
    smallest = _SPECK * alpha.size
    inside = (alpha >= 0.5).astype(np.uint8)
    tallest, islands = _small(inside, smallest)
    _, holes = _small(1 - inside, smallest)
    if islands is not None or holes is not None:
        alpha = alpha.copy()
    if islands is not None:
        alpha[cv2.dilate(islands, np.ones((3, 3), np.uint8)) > 0] *= np.float32(0.5)
        alpha[islands > 0] = 0
    if holes is not None:
        alpha[holes > 0] = 1
    return alpha, tallest / len(alpha)


def _small(shape: Pixels, smallest: float) -> tuple[int, Pixels | None]:
    """The height of the tallest component, and those smaller than that as a picture of their own."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(shape, connectivity=4)
    small = stats[:, cv2.CC_STAT_AREA] < smallest
    small[0] = False
    tallest = max(stats[1:, cv2.CC_STAT_HEIGHT][~small[1:]], default=0)
    return int(tallest), small.astype(np.uint8)[labels] if small.any() else None


def widened(alpha: Probabilities, margin: int) -> Probabilities:
    """People and `margin` pixels around them, falling off softly."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.maximum(alpha, cv2.GaussianBlur(cv2.dilate(alpha, disc), (0, 0), margin / 2))


class Fade:
    """Lets masks go, over some tenths of a second, in shots where they serve nobody.

    When the tallest person is tiny, comments passing behind are only torn; when people fill the screen,
    nothing could be read. In between, smooth ramps.
    """

    def __init__(self) -> None:
        self._share: float | None = None
        self._pts_ms = 0

    def step(self, tallest: float, coverage: float, pts_ms: int, *, cut: bool) -> float:
        """What to multiply the mask with, 0 to 1, for shares of the picture's height and area."""
        wanted = _ramp(tallest, _TINY, _SMALL) * (1 - _ramp(coverage, _LARGE, _FULL))
        reach = (pts_ms - self._pts_ms) / _FADE_MS
        last = wanted if self._share is None or cut else self._share
        self._share, self._pts_ms = min(max(wanted, last - reach), last + reach), pts_ms
        return self._share


def _ramp(value: float, low: float, high: float) -> float:
    place = min(max((value - low) / (high - low), 0.0), 1.0)
    return place * place * (3 - 2 * place)
