"""From a frame to the graph's input, and from its output to a mask (models/CONTRACT.md).

All positions count pixels between their centres: the frame's x is the input's (x + 0.5)·n/fw − 0.5, and a
mask's u the input's (u + 0.5)·n/mw − 0.5, where n is the width of the scaled picture within the input.
"""

import math
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from danmatte.contract.manifest import Grid, Manifest
from danmatte.contract.scaling import smaller
from danmatte.frame import Frame, Pixels, Probabilities, Size

_BAND_ROWS = 64


def scaled_size(frame: Size, manifest: Manifest) -> Size:
    """The size of the frame's picture within the input."""
    _, height, width, _ = manifest.input.shape
    if manifest.resize.rule == "stretch":
        return Size(height, width)
    scale = min(height / frame.height, width / frame.width)
    return Size(_rounded(frame.height * scale, height), _rounded(frame.width * scale, width))


def _rounded(length: float, limit: int) -> int:
    return min(limit, max(1, math.floor(length + 0.5)))


def fit(frame: Frame, manifest: Manifest) -> Pixels:
    """The graph's input, (1, H, W, 3) uint8: the frame scaled into the top left corner, the rest filled."""
    _, height, width, _ = manifest.input.shape
    scaled = scaled_size(frame.size, manifest)
    picture = resized(frame.pixels, scaled)
    if scaled != (height, width):
        fill = manifest.resize.fill if manifest.input.colour == "RGB" else manifest.resize.fill[::-1]
        bottom, right = height - scaled.height, width - scaled.width
        picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=fill)  # type: ignore[assignment]
    return np.ascontiguousarray(picture)[np.newaxis]


def shown(picture: Pixels, frame: Size, manifest: Manifest, size: Size) -> Pixels:
    """The frame as the graph's input shows it, (H, W, 3) at this size."""
    scaled = scaled_size(frame, manifest)
    return resized(picture[0, : scaled.height, : scaled.width], size)


def resized(pixels: Pixels, size: Size) -> Pixels:
    """The picture at this size: pixel areas along an axis that shrinks, bilinear along one that grows.

    Mixed cases take two passes: OpenCV's INTER_AREA stops averaging when one axis grows, and then shifts
    the other by up to half a pixel.
    """
    height, width = pixels.shape[:2]
    shrunk = Size(min(height, size.height), min(width, size.width))
    if shrunk != (height, width):
        pixels = smaller(pixels, shrunk)
    if shrunk != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return pixels


def project(values: Probabilities, grid: Grid, scaled: Size, mask: Size) -> Iterator[tuple[slice, Probabilities]]:
    """The graph's (h, w) output at every pixel of the mask, bilinear, repeating the outermost values.

    Yields bands of rows with their place, small enough to stay in the cache. Float32 weights, first along
    the few rows of the output: OpenCV's warps are exact only on some machines (5-bit weights on others).
    """
    left, right, weight = _taps(values.shape[1], grid.step_x, grid.offset_x, scaled.width, mask.width)
    rows = _between(values[:, left], values[:, right], weight)
    above, below, weight = _taps(values.shape[0], grid.step_y, grid.offset_y, scaled.height, mask.height)
    for start in range(0, mask.height, _BAND_ROWS):
        place = slice(start, min(start + _BAND_ROWS, mask.height))
        yield place, _between(rows[above[place]], rows[below[place]], weight[place, np.newaxis])


def _between(first: Probabilities, second: Probabilities, weight: npt.NDArray[np.float32]) -> Probabilities:
    """Both, weighted; in the memory of the second one, which halves the time."""
    second -= first
    second *= weight
    second += first
    return second


@lru_cache(64)  # frames of one size come again and again
def _taps(
    length: int, step: float, offset: float, scaled: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each of the `wanted` pixels the two values beside it, and the second one's weight; only to be read."""
    place = ((np.arange(wanted) + 0.5) * (scaled / wanted) - 0.5 - offset) / step
    place = np.clip(place, 0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (place - first).astype(np.float32)
