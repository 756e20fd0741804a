"""The geometry from a frame to a graph's input, and from its output to a mask (models/CONTRACT.md).

All positions count pixels between their centres: the frame's x is the input's (x + 0.5)·n/fw − 0.5, and a
mask's u the input's (u + 0.5)·n/mw − 0.5, where n is the width of the scaled picture within the input.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Self, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import PictureInput
from danmatte.frame import Frame, Pixels, Probabilities, Size

Rule: TypeAlias = Literal["stretch", "letterbox"]
_Area: TypeAlias = tuple[int, int]  # height and width; a Size is one

_BAND_ROWS = 64


@dataclass(frozen=True)
class Framing:
    """The mapping of frames to a graph's input of `size` (height, width), and of its output to masks.

    `fill` is the colour of a letterbox's empty part, in the channel order of the pictures that are fitted.
    """

    size: _Area
    rule: Rule = "stretch"
    fill: tuple[int, int, int] = (127, 127, 127)

    @classmethod
    def of(cls, manifest: Manifest, frame: _Area | None = None) -> Self:
        """Return the framing of a model that takes one picture; raises InvalidParameterError for other models."""
        return cls.for_picture(manifest.picture, frame)

    @classmethod
    def for_picture(cls, picture: PictureInput, frame: _Area | None = None) -> Self:
        """Return the framing of an input, for pictures in the input's channel order.

        `frame` chooses the size of an input that takes several sizes; without it, the largest is used.
        """
        fill = picture.resize.fill if picture.colour == "RGB" else picture.resize.fill[::-1]
        size = picture.choose_size(frame) if frame else picture.largest_size
        return cls(size, picture.resize.rule, fill)

    def scale_size(self, frame: _Area) -> Size:
        """Return the size at which a frame is placed in the input."""
        height, width = self.size
        if self.rule == "stretch":
            return Size(height, width)
        scale = min(height / frame[0], width / frame[1])
        return Size(_round_half_up(frame[0] * scale, height), _round_half_up(frame[1] * scale, width))

    def fit(self, frame: Frame) -> Pixels:
        """Return the graph's input as (1, H, W, 3) uint8: the frame in the top left corner, the rest filled.

        This is the fast method for serving; accuracy is measured with `fit_exactly`.
        """
        return self._place(resize(frame.pixels, self.scale_size(frame.size)))

    def fit_exactly(self, pixels: Pixels) -> Pixels:
        """Return the graph's input for a frame, (H, W, 3) uint8, by OpenCV alone; `fit` differs by a level or two."""

        def shrink(part: Pixels, size: Size) -> Pixels:
            return cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]

        return self._place(resize(pixels, self.scale_size((pixels.shape[0], pixels.shape[1])), shrink=shrink))

    def _place(self, picture: Pixels) -> Pixels:
        bottom, right = self.size[0] - picture.shape[0], self.size[1] - picture.shape[1]
        if bottom or right:
            picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=self.fill)  # type: ignore[assignment]
        return np.ascontiguousarray(picture)[np.newaxis]

    def extract(self, picture: Pixels, frame: _Area, size: Size) -> Pixels:
        """Return the frame's part of the graph's input, (1, H, W, 3), resized to (H, W, 3) of this size."""
        scaled = self.scale_size(frame)
        return resize(picture[0, : scaled.height, : scaled.width], size)

    def project(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area
    ) -> Iterator[tuple[slice, Probabilities]]:
        """Yield the graph's (h, w) output at every pixel of a frame's mask, in bands of rows: see `project` below."""
        return project(values, grid, self.scale_size(frame), mask)

    def compute_mask(self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area) -> Probabilities:
        """Return the whole mask of a frame, (mh, mw) float32."""
        painted = np.empty(mask, np.float32)
        for rows, band in self.project(values, grid, mask, frame):
            painted[rows] = band
        return painted

    def compute_hard_mask(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area, threshold: float
    ) -> npt.NDArray[np.bool_]:
        """Return the mask as bool: True where it is above `threshold`."""
        painted = np.empty(mask, np.bool_)
        for rows, band in self.project(values, grid, mask, frame):
            np.greater(band, threshold, out=painted[rows])
        return painted

    def compute_alpha(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area, threshold: float | None
    ) -> Pixels:
        """Return the mask as uint8: 255 where it is at least `threshold`, 0 elsewhere; soft, 0 to 255, without one."""
        alpha = np.empty(mask, np.uint8)
        if threshold is None:
            # Scaling before the enlargement is faster, and gives the same result because the weights add up to one.
            for rows, band in self.project(values * np.float32(255) + np.float32(0.5), grid, mask, frame):
                np.copyto(alpha[rows], band, casting="unsafe")
        else:
            for rows, band in self.project(values, grid, mask, frame):
                np.multiply(band >= threshold, np.uint8(255), out=alpha[rows])
        return alpha


def _round_half_up(length: float, limit: int) -> int:
    return min(limit, max(1, math.floor(length + 0.5)))


def resize(pixels: Pixels, size: _Area, *, shrink: Callable[[Pixels, Size], Pixels] | None = None) -> Pixels:
    """Return a picture, (H, W, 3) uint8, resized: by area along an axis that shrinks, bilinear along one that grows.

    If one axis shrinks and the other grows, this takes two passes, because OpenCV's INTER_AREA doesn't average in that
    case, and shifts the shrinking axis by up to half a pixel. `shrink` does the first pass, by default the fast one.
    """
    before = (pixels.shape[0], pixels.shape[1])
    shrunk = Size(min(before[0], size[0]), min(before[1], size[1]))
    if shrunk != before:
        if shrink is None:
            from danmatte.contract import scaling  # FFmpeg, which only serving needs

            shrink = scaling.shrink
        pixels = shrink(pixels, shrunk)
    if shrunk != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return pixels


def project(values: Probabilities, grid: Grid, scaled: Size, mask: _Area) -> Iterator[tuple[slice, Probabilities]]:
    """Yield the graph's (h, w) output at every pixel of the mask, bilinear, with the outermost values repeated.

    `scaled` is the size at which the frame is placed in the input. The mask is yielded in bands of rows that are small
    enough to stay in the cache, each with its rows' slice.
    """
    # With float32 weights instead of OpenCV's warps, which have 5-bit weights on some machines and are exact only on
    # others. First along x, while there are only the few rows of the output.
    left, right, weight = _weigh(values.shape[1], grid.step_x, grid.offset_x, scaled.width, mask[1])
    columns: Probabilities = cv2.transpose(values)  # type: ignore[assignment] # because selecting rows is faster
    rows: Probabilities = cv2.transpose(_interpolate(columns[left], columns[right], weight))  # type: ignore[assignment]
    above, below, weight = _weigh(values.shape[0], grid.step_y, grid.offset_y, scaled.height, mask[0])
    for start in range(0, mask[0], _BAND_ROWS):
        place = slice(start, min(start + _BAND_ROWS, mask[0]))
        yield place, _interpolate(rows[above[place]], rows[below[place]], weight[place])


def _interpolate(first: Probabilities, second: Probabilities, weight: npt.NDArray[np.float32]) -> Probabilities:
    """Return rows interpolated between those of both, in the memory of `second`, which halves the time."""
    second -= first
    second *= weight[:, np.newaxis]
    second += first
    return second


@lru_cache(64)  # because many frames have the same size
def _weigh(
    length: int, step: float, offset: float, scaled: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return the indices of the two values beside each of the `wanted` pixels, and the weight of the second.

    The arrays are cached and must not be modified.
    """
    place = ((np.arange(wanted) + 0.5) * (scaled / wanted) - 0.5 - offset) / step
    place = np.clip(place, 0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (place - first).astype(np.float32)
