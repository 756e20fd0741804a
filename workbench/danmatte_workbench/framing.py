"""How frames enter the graph and masks leave it, as models/CONTRACT.md has it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import cv2
import numpy as np

BAND_ROWS = 64

Channels: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """What pixels become before a network takes them: (pixel − mean) / scale, per channel in ``colour`` order."""

    colour: Literal["RGB", "BGR"]
    mean: Channels
    scale: Channels

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(1, H, W, 3) uint8 RGB to float32 of the same shape."""
        ordered = picture if self.colour == "RGB" else picture[..., ::-1]
        mean, scale = np.array(self.mean, np.float32), np.array(self.scale, np.float32)
        return np.asarray((ordered.astype(np.float32) - mean) / scale)


@dataclass(frozen=True)
class Grid:
    """Where output values lie: value (j, i) at input pixel (offset_y + j·step_y, offset_x + i·step_x)."""

    step_y: float
    step_x: float
    offset_y: float = 0.0
    offset_x: float = 0.0

    @classmethod
    def aligned(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> "Grid":
        """Corner values on corner pixels, as TensorFlow's ``align_corners``; sizes are (height, width)."""
        steps = ((i - 1) / (o - 1) if o > 1 else 1.0 for i, o in zip(inputs, outputs, strict=True))
        return cls(*steps)

    @classmethod
    def cornered(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> "Grid":
        """Places multiplied, from the top left pixel on, as TensorFlow 1 does unless told otherwise."""
        step_y, step_x = (i / o for i, o in zip(inputs, outputs, strict=True))
        return cls(step_y, step_x)

    @classmethod
    def halves(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> "Grid":
        """Pixel centres at halves; sizes are (height, width)."""
        step_y, step_x = (i / o for i, o in zip(inputs, outputs, strict=True))
        return cls(step_y, step_x, (step_y - 1) / 2, (step_x - 1) / 2)

    @classmethod
    def usual(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> "Grid":
        """What networks of such sizes do: 513 to 33 keeps corners on corners, 512 to 32 centres on centres."""
        whole = all(o > 1 and (i - 1) % (o - 1) == 0 for i, o in zip(inputs, outputs, strict=True))
        return cls.aligned(inputs, outputs) if whole else cls.halves(inputs, outputs)


@dataclass(frozen=True)
class Framing:
    """The resize rule of a graph whose input is ``size`` (height, width)."""

    size: tuple[int, int]
    rule: Literal["stretch", "letterbox"] = "stretch"
    fill: tuple[int, int, int] = (127, 127, 127)

    def inner(self, height: int, width: int) -> tuple[int, int]:
        """The (height, width) that a frame of that size has within the input."""
        if self.rule == "stretch":
            return self.size
        scale = min(self.size[0] / height, self.size[1] / width)
        return max(1, math.floor(height * scale + 0.5)), max(1, math.floor(width * scale + 0.5))

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB to (1, *size, 3) uint8."""
        height, width = pixels.shape[:2]
        inner = self.inner(height, width)
        scaled = _resized(pixels, inner)
        if inner == self.size:
            return scaled[None]
        boxed = np.empty((*self.size, 3), np.uint8)
        boxed[:] = self.fill
        boxed[: inner[0], : inner[1]] = scaled
        return boxed[None]

    def mask(self, person: np.ndarray, grid: Grid, size: tuple[int, int], frame: tuple[int, int]) -> np.ndarray:
        """(h, w) probabilities on the grid to a mask of ``size`` (height, width) of a frame of size ``frame``."""
        mask = np.empty(size, np.float32)
        for place, band in self._bands(person, grid, size, frame):
            mask[place] = band
        return mask

    def hard_mask(
        self, person: np.ndarray, grid: Grid, size: tuple[int, int], frame: tuple[int, int], threshold: float
    ) -> np.ndarray:
        """The same, bool: where the mask is over ``threshold``."""
        mask = np.empty(size, np.bool_)
        for place, band in self._bands(person, grid, size, frame):
            np.greater(band, threshold, out=mask[place])
        return mask

    def _bands(
        self, person: np.ndarray, grid: Grid, size: tuple[int, int], frame: tuple[int, int]
    ) -> Iterator[tuple[slice, np.ndarray]]:
        """The mask, float32, in bands of rows with their places: few enough rows to stay in the cache."""
        inner = self.inner(*frame)
        left, right, weight = _taps(person.shape[1], grid.step_x, grid.offset_x, inner[1], size[1])
        columns = cv2.transpose(person)  # whole rows are gathered several times as fast as single values
        rows = cv2.transpose(_between(columns[left], columns[right], weight))
        top, bottom, weight = _taps(person.shape[0], grid.step_y, grid.offset_y, inner[0], size[0])
        for start in range(0, size[0], BAND_ROWS):
            place = slice(start, start + BAND_ROWS)
            yield place, _between(rows[top[place]], rows[bottom[place]], weight[place])


def _between(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Rows between those of ``first`` and of ``second``, which is overwritten."""
    second -= first
    second *= weight[:, None]
    second += first
    return second


@lru_cache(maxsize=64)
def _taps(
    length: int, step: float, offset: float, inner: int, wanted: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ``wanted`` mask pixels the two values beside it, and the second one's weight.

    In float32: OpenCV's warps are that exact only on some machines, and have 5-bit weights on others.
    """
    places = ((np.arange(wanted) + 0.5) * (inner / wanted) - 0.5 - offset) / step
    places = np.clip(places, 0, length - 1)
    first = places.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), (places - first).astype(np.float32)


def _resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixel areas along an axis that shrinks, bilinear along one that grows.

    In two passes: OpenCV's INTER_AREA stops averaging when one axis grows, and shifts the other.
    """
    shrunk = (min(pixels.shape[0], size[0]), min(pixels.shape[1], size[1]))
    if shrunk != pixels.shape[:2]:
        pixels = cv2.resize(pixels, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != size:
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_LINEAR)
    return pixels
