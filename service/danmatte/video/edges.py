"""A mask's edges: moved to the picture's, and made steeper."""

import cv2
import numpy as np

from danmatte.frame import Pixels, Probabilities

_EPSILON = 1e-4  # of a contrast squared: fainter edges move nothing


class EdgeGuide:
    """A picture whose edges masks are moved to, (H, W, 3) uint8, the channels in any order.

    A guided filter (He, Sun, Tang, ECCV 2010), fitted at half the size as its authors advise (2015). It takes colours
    because skin before clay, or grass, has an edge in them where brightness shows none.
    """

    def __init__(self, colours: Pixels) -> None:
        height, width = colours.shape[:2]
        self._half = (max(1, width // 2), max(1, height // 2))
        self._planes = _split(colours)
        self._small = _split(cv2.resize(colours, self._half, interpolation=cv2.INTER_AREA))  # type: ignore[arg-type]

    def refine(self, alpha: Probabilities, reach: int) -> Probabilities:
        """`alpha`, (H, W), with its edges at the picture's, as far as these are within some `reach` times 4 pixels."""
        small: Probabilities = cv2.resize(alpha, self._half, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        answer = None
        for plane, factor in zip((*self._planes, None), self._fit(small, reach), strict=True):
            whole = cv2.resize(factor, alpha.shape[::-1], interpolation=cv2.INTER_LINEAR)
            whole = whole if plane is None else whole * plane
            answer = whole if answer is None else cv2.add(answer, whole)
        assert answer is not None
        return np.clip(answer, 0, 1)

    def _fit(self, alpha: Probabilities, reach: int) -> list[Probabilities]:
        """For every pixel what to multiply each colour with, and what to add, so that the sum is close to `alpha`.

        A linear regression in the window around each pixel: the colours' covariance matrix, inverted, times their
        covariances with the mask.
        """
        small = self._small
        means, mean = [_blur(plane, reach) for plane in small], _blur(alpha, reach)
        shared = [_blur(plane * alpha, reach) - each * mean for plane, each in zip(small, means, strict=True)]

        def compute_covariance(one: int, other: int) -> Probabilities:
            return _blur(small[one] * small[other], reach) - means[one] * means[other]

        # The symmetric matrix ((a b c) (b d e) (c e f)), inverted by its cofactors: np.linalg is ten times as slow on
        # a matrix for each pixel.
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
    """The colours' planes, 0 to 1."""
    return [np.multiply(plane, np.float32(1 / 255), dtype=np.float32) for plane in cv2.split(colours)]


def _blur(values: Probabilities, reach: int) -> Probabilities:
    """The mean of the square window around each pixel."""
    return cv2.boxFilter(values, -1, (2 * reach + 1, 2 * reach + 1))  # type: ignore[return-value]


def sharpen(alpha: Probabilities) -> Probabilities:
    """`alpha` with steeper edges at the same places, the odds to the power of 4: what is likely becomes sure."""
    inside, outside = (np.square(np.square(each)) for each in (alpha, 1 - alpha))
    steeper: Probabilities = inside / (inside + outside)
    return steeper
