"""Edges of masks: aligning them with the picture's edges, and sharpening them."""

import cv2
import numpy as np

from danmatte.frame import Pixels, Probabilities

_EPSILON = 1e-4  # squared contrast of the faintest edge that has an effect


class EdgeGuide:
    """A picture that masks are aligned with, (H, W, 3) uint8, the channels in any order.

    It is a guided filter (He, Sun, Tang, ECCV 2010), fitted at half the size as its authors advise (2015). It uses
    colours, because the outline of skin in front of clay or grass may not show in the brightness.
    """

    def __init__(self, colours: Pixels) -> None:
        height, width = colours.shape[:2]
        self._half = (max(1, width // 2), max(1, height // 2))
        self._planes = _split(colours)
        self._small = _split(cv2.resize(colours, self._half, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]

    def refine(self, alpha: Probabilities, reach: int) -> Probabilities:
        """Return `alpha`, (H, W), with its edges moved to the picture's within about 4 × `reach` pixels."""
        small: Probabilities = cv2.resize(alpha, self._half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        total = None
        for plane, factor in zip((*self._planes, None), self._fit(small, reach), strict=True):
            whole = cv2.resize(factor, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
            whole = whole if plane is None else whole * plane
            total = whole if total is None else cv2.add(total, whole)
        assert total is not None
        return np.clip(total, 0, 1)

    def _fit(self, alpha: Probabilities, reach: int) -> list[Probabilities]:
        """Return each pixel's factors of the colours, and an offset, so that their sum approximates `alpha`.

        This is a linear regression in the window around each pixel: the inverse of the colours' covariance matrix times
        their covariances with the mask.
        """
        small = self._small
        means, mean = [_blur(plane, reach) for plane in small], _blur(alpha, reach)
        shared = [_blur(plane * alpha, reach) - each * mean for plane, each in zip(small, means, strict=True)]

        def compute_covariance(one: int, other: int) -> Probabilities:
            return _blur(small[one] * small[other], reach) - means[one] * means[other]

        # The symmetric matrix ((a b c) (b d e) (c e f)) is inverted by its cofactors, because np.linalg is ten times
        # slower for one matrix per pixel.
        least = np.float32(_EPSILON)
        a, d, f = (compute_covariance(at, at) + least for at in range(3))
        b, c, e = compute_covariance(0, 1), compute_covariance(0, 2), compute_covariance(1, 2)
        aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
        dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
        x, y, z = (each / (a * aa + b * bb + c * cc) for each in shared)
        slopes = [aa * x + bb * y + cc * z, bb * x + dd * y + ee * z, cc * x + ee * y + ff * z]
        offset = mean - sum(slope * each for slope, each in zip(slopes, means, strict=True))
        return [_blur(each, reach) for each in (*slopes, offset)]


def _split(colours: Pixels) -> list[Probabilities]:
    """Return the colours' planes, 0 to 1."""
    return [np.multiply(plane, np.float32(1 / 255), dtype=np.float32) for plane in cv2.split(colours)]


def _blur(values: Probabilities, reach: int) -> Probabilities:
    """Return the mean in a square window around each pixel, 2 × `reach` + 1 pixels wide."""
    return cv2.boxFilter(values, -1, (2 * reach + 1, 2 * reach + 1))  # type: ignore[return-value]


def sharpen(alpha: Probabilities) -> Probabilities:
    """Return `alpha` with steeper edges at the same places: the odds are raised to the power of 4."""
    inside, outside = (np.square(np.square(each)) for each in (alpha, 1 - alpha))
    steeper: Probabilities = inside / (inside + outside)
    return steeper
