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
    """How frames enter a graph whose input is `size` (height, width), and how masks leave it.

    `fill` is what a letterbox leaves free, in the channels' order of the pictures that are fitted.
    """

    size: _Area
    rule: Rule = "stretch"
    fill: tuple[int, int, int] = (127, 127, 127)

    @classmethod
    def of(cls, manifest: Manifest, frame: _Area | None = None) -> Self:
        """The framing of a model that takes one picture; raises InvalidParameterError for others."""
        return cls.for_picture(manifest.picture, frame)

    @classmethod
    def for_picture(cls, picture: PictureInput, frame: _Area | None = None) -> Self:
        """The framing of an input, for pictures in the order of colours that it takes.

        `frame` matters to an input that takes several sizes; without it the largest of them is taken.
        """
        fill = picture.resize.fill if picture.colour == "RGB" else picture.resize.fill[::-1]
        size = picture.choose_size(frame) if frame else picture.largest_size
        return cls(size, picture.resize.rule, fill)

    def scale_size(self, frame: _Area) -> Size:
        """The size of a frame's picture within the input."""
        height, width = self.size
        if self.rule == "stretch":
            return Size(height, width)
        scale = min(height / frame[0], width / frame[1])
        return Size(_round_half_up(frame[0] * scale, height), _round_half_up(frame[1] * scale, width))

    def fit(self, frame: Frame) -> Pixels:
        """The graph's input as (1, H, W, 3) uint8: the frame in the top left corner, the rest filled.

        This is the fast way, for serving; `fit_exactly` is what accuracy is measured with.
        """
        return self._place(resize(frame.pixels, self.scale_size(frame.size)))

    def fit_exactly(self, pixels: Pixels) -> Pixels:
        """The same of a whole frame, (H, W, 3) uint8, by OpenCV alone: a level or two from `fit`."""

        def shrink(part: Pixels, size: Size) -> Pixels:
            return cv2.resize(part, size[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]

        return self._place(resize(pixels, self.scale_size((pixels.shape[0], pixels.shape[1])), shrink=shrink))

    def _place(self, picture: Pixels) -> Pixels:
        bottom, right = self.size[0] - picture.shape[0], self.size[1] - picture.shape[1]
        if bottom or right:
            picture = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=self.fill)  # type: ignore[assignment]
        return np.ascontiguousarray(picture)[np.newaxis]

    def extract(self, picture: Pixels, frame: _Area, size: Size) -> Pixels:
        """The frame as the graph's input (1, H, W, 3) shows it, (H, W, 3) at this size."""
        scaled = self.scale_size(frame)
        return resize(picture[0, : scaled.height, : scaled.width], size)

    def project(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area
    ) -> Iterator[tuple[slice, Probabilities]]:
        """The graph's (h, w) output at every pixel of a frame's mask, in bands of rows: see `project`."""
        return project(values, grid, self.scale_size(frame), mask)

    def compute_mask(self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area) -> Probabilities:
        """The whole mask of a frame, (mh, mw) float32."""
        painted = np.empty(mask, np.float32)
        for rows, band in self.project(values, grid, mask, frame):
            painted[rows] = band
        return painted

    def compute_hard_mask(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area, threshold: float
    ) -> npt.NDArray[np.bool_]:
        """The same, bool: where the mask is over `threshold`."""
        painted = np.empty(mask, np.bool_)
        for rows, band in self.project(values, grid, mask, frame):
            np.greater(band, threshold, out=painted[rows])
        return painted

    def compute_alpha(
        self, values: Probabilities, grid: Grid, mask: _Area, frame: _Area, threshold: float | None
    ) -> Pixels:
        """The same, uint8: 255 where the mask is at least `threshold`, 0 elsewhere; without one 0 to 255."""
        alpha = np.empty(mask, np.uint8)
        if threshold is None:
            # Scaled and rounded before it is enlarged, where there is less to do: the weights add up to one.
            for rows, band in self.project(values * np.float32(255) + np.float32(0.5), grid, mask, frame):
                np.copyto(alpha[rows], band, casting="unsafe")
        else:
            for rows, band in self.project(values, grid, mask, frame):
                np.multiply(band >= threshold, np.uint8(255), out=alpha[rows])
        return alpha


def _round_half_up(length: float, limit: int) -> int:
    return min(limit, max(1, math.floor(length + 0.5)))


def resize(pixels: Pixels, size: _Area, *, shrink: Callable[[Pixels, Size], Pixels] | None = None) -> Pixels:
    """(H, W, 3) uint8 at this size: pixel areas along an axis that shrinks, bilinear along one that grows.

    Mixed cases take two passes: OpenCV's INTER_AREA stops averaging when one axis grows, and then shifts
    the other by up to half a pixel. `shrink` does the first pass; the fast one if None.
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
    """The graph's (h, w) output at every pixel of the mask, bilinear, repeating the outermost values.

    `scaled` is the size of the frame's picture within the input. Yields bands of rows with their place, small enough
    to stay in the cache.
    """
    # Float32 weights, first along the few rows of the output: OpenCV's warps are exact only on some machines, and
    # have 5-bit weights on others.
    left, right, weight = _weigh(values.shape[1], grid.step_x, grid.offset_x, scaled.width, mask[1])
    columns: Probabilities = cv2.transpose(values)  # type: ignore[assignment] # whole rows are gathered faster
    rows: Probabilities = cv2.transpose(_interpolate(columns[left], columns[right], weight))  # type: ignore[assignment]
    above, below, weight = _weigh(values.shape[0], grid.step_y, grid.offset_y, scaled.height, mask[0])
    for start in range(0, mask[0], _BAND_ROWS):
        place = slice(start, min(start + _BAND_ROWS, mask[0]))
        yield place, _interpolate(rows[above[place]], rows[below[place]], weight[place])


def _interpolate(first: Probabilities, second: Probabilities, weight: npt.NDArray[np.float32]) -> Probabilities:
    """Rows between those of both; in the memory of the second one, which halves the time."""
    second -= first
    second *= weight[:, np.newaxis]
    second += first
    return second


@lru_cache(64)  # frames of one size come again and again
def _weigh(
    length: int, step: float, offset: float, scaled: int, wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """For each of the `wanted` pixels the two values beside it, and the second one's weight; only to be read."""
    place = ((np.arange(wanted) + 0.5) * (scaled / wanted) - 0.5 - offset) / step
    place = np.clip(place, 0, length - 1)
    first = place.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (place - first).astype(np.float32)
