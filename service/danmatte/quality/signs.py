"""Signs of damage in patches of brightness: blur, blocking, noise, banding. They explain a score, but don't affect it.

Every sign is a number from 0 to 100; 100 means that there is no such damage. Patches are (h, w) uint8, at the video's
own resolution.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels

_BLOCK = 8  # side of a block in JPEG and MPEG, in pixels
_MAX_STEP = 16.0  # grey levels: a larger step counts as an edge in the content
_CELL = 16  # side of a cell in pixels; noise is measured in the calmest cells
_CALMEST = 10  # percentile of the cells
_IMMERKAER = np.array([1, -2, 1], np.float32)  # applied along rows, then along columns
_ALONE = np.array([[-1, 2, -1]], np.float32)
_REACH = 9  # width of the additional blur in pixels
_SHARP, _BLURRED = 0.3, 0.9  # shares of differences that remain after an additional blur
_LOW_STEP, _HIGH_STEP = 2, 16  # grey levels between two bands
_BAND = 3  # flat pixels on both sides of a step
_BLOCK_SCALE, _NOISE_SCALE, _BAND_SCALE = 1.5, 10.0, 3.0


class Signs(NamedTuple):
    """Signs of damage, from 0 to 100 each; 100 means that there is none."""

    sharpness: float
    blocking: float
    noise: float
    banding: float


def find_signs(patches: Sequence[Pixels]) -> Signs:
    """Return the mean signs of a frame's patches."""
    found = [_find_in_patch(patch) for patch in patches]
    return Signs(*(round(float(np.mean(values)), 1) for values in zip(*found, strict=True)))


# This runs for every judged frame, so it computes in small integers, which takes a fraction of the time of floats.


def _find_in_patch(patch: Pixels) -> Signs:
    along, across = measure_steps(patch), measure_steps(cv2.transpose(patch))  # type: ignore[arg-type]
    return Signs(
        sharpness=100 * min(1.0, max(0.0, (_BLURRED - measure_blur(patch, along)) / (_BLURRED - _SHARP))),
        blocking=_fall(max(measure_blocks(along), measure_blocks(across)), _BLOCK_SCALE),
        noise=_fall(measure_noise(patch), _NOISE_SCALE),
        banding=_fall(measure_bands(along), _BAND_SCALE),
    )


def measure_steps(patch: Pixels) -> Pixels:
    """Return the absolute differences between neighbouring columns, (h, w - 1) uint8."""
    return cv2.absdiff(patch[:, 1:], patch[:, :-1])  # type: ignore[return-value]


def _fall(value: float, scale: float) -> float:
    """Return a score that falls exponentially with `value`: 100 for 0, 37 for `scale`."""
    return float(100 * np.exp(-value / scale))


def measure_blur(patch: Pixels, along: Pixels) -> float:
    """Return the share of differences between neighbours that remains after an additional blur: low if sharp.

    After Crete et al. (SPIE 2007). `along` are the differences between neighbouring columns.
    """
    total = cv2.sumElems(along)[0]
    if total == 0:
        return 0.0  # a flat patch isn't blurred
    blurred = cv2.boxFilter(patch, cv2.CV_16U, (_REACH, 1), normalize=False)
    left = cv2.absdiff(blurred[:, 1:], blurred[:, :-1])
    gone = cv2.subtract(_REACH * along.astype(np.uint16), left)  # saturates at 0
    return 1 - cv2.sumElems(gone)[0] / (_REACH * total)


def measure_blocks(along: Pixels) -> float:
    """Return by how many grey levels the steps at every eighth column exceed the others, for any offset of the grid."""
    if along.shape[1] < 2 * _BLOCK + 2:
        return 0.0
    alone = cv2.filter2D(along, cv2.CV_16S, _ALONE)[:, 1:-1]  # twice the excess of a step
    limited = cv2.min(cv2.max(alone, 0), 2 * _MAX_STEP)  # type: ignore[call-overload]
    profile = cv2.reduce(limited, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[0] / (2 * len(along))
    columns = np.arange(profile.size) % _BLOCK
    places = np.bincount(columns, profile) / np.bincount(columns)
    highest = float(places.max())
    return highest - (float(places.sum()) - highest) / (_BLOCK - 1)


def measure_noise(patch: Pixels) -> float:
    """Return the standard deviation of noise in grey levels, in the calmest cells (Immerkær, CVIU 1996)."""
    size = max(1, patch.shape[1] // _CELL), max(1, patch.shape[0] // _CELL)
    response = cv2.sepFilter2D(patch, cv2.CV_32F, _IMMERKAER, _IMMERKAER)
    cells = np.sort(cv2.resize(np.abs(response, out=response), size, interpolation=cv2.INTER_AREA), axis=None)
    # The same as np.percentile, which takes longer than everything else here.
    calm = np.interp((cells.size - 1) * _CALMEST / 100, np.arange(cells.size), cells)
    return float(calm * np.sqrt(np.pi / 2) / 6)


def measure_bands(along: Pixels) -> float:
    """Return the mean square of the isolated small steps between two flat bands, over all pixels, in grey levels."""
    reach = _BAND // 2 + 1
    if along.shape[1] <= 2 * reach:
        return 0.0
    runs = cv2.erode(cv2.inRange(along, 0, 0), np.ones((1, _BAND), np.uint8))  # the centres of flat runs
    steps = along[:, reach:-reach]
    between = cv2.bitwise_and(runs[:, : -2 * reach], runs[:, 2 * reach :])
    lone = cv2.bitwise_and(cv2.bitwise_and(steps, between), cv2.inRange(steps, _LOW_STEP, _HIGH_STEP))
    return float(cv2.norm(lone, cv2.NORM_L2SQR) / steps.size)
