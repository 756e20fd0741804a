"""Signs of damage in patches of brightness: blur, blocks, noise, bands. They explain a score; they don't make it.

Every sign is a number from 0 to 100, and 100 is a picture without that damage. Patches are (h, w) uint8, at the
video's own resolution.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from danmatte.frame import Pixels

_Plane: TypeAlias = npt.NDArray[np.float32]

_BLOCK = 8  # pixels of a block's side in JPEG and MPEG
_HIGHEST_STEP = 16.0  # grey levels: a larger one is an edge of what is shown
_CELL = 16  # pixels of a side: noise is measured in the calmest of such cells
_CALMEST = 10  # of 100 cells
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_SHARP, _BLURRED = 0.3, 0.9  # shares of differences that a further blur leaves
_LOW_STEP, _HIGH_STEP = 2, 16  # grey levels between two bands
_BAND = 3  # pixels without any difference on both sides of a step
_BLOCK_SCALE, _NOISE_SCALE, _BAND_SCALE = 1.5, 10.0, 3.0


class Signs(NamedTuple):
    """From 0 to 100 each; 100 is without that damage."""

    sharpness: float
    blocking: float
    noise: float
    banding: float


def find_signs(patches: Sequence[Pixels]) -> Signs:
    """The mean signs of a frame's patches."""
    found = [_find_in_patch(patch) for patch in patches]
    return Signs(*(round(float(np.mean(values)), 1) for values in zip(*found, strict=True)))


def _find_in_patch(patch: Pixels) -> Signs:
    plane = patch.astype(np.float32)
    along, across = np.abs(np.diff(plane, axis=1)), np.abs(np.diff(plane, axis=0))
    return Signs(
        sharpness=100 * float(np.clip((_BLURRED - measure_blur(plane, along)) / (_BLURRED - _SHARP), 0, 1)),
        blocking=_fall(max(measure_blocks(along), measure_blocks(across.T)), _BLOCK_SCALE),
        noise=_fall(measure_noise(plane), _NOISE_SCALE),
        banding=_fall(measure_bands(along), _BAND_SCALE),
    )


def _fall(value: float, scale: float) -> float:
    """100 for nothing, 37 for one `scale`, and less and less for more."""
    return float(100 * np.exp(-value / scale))


def measure_blur(plane: _Plane, along: _Plane) -> float:
    """The share of neighbours' differences that a further blur leaves: little when sharp, most when blurred.

    After Crete et al. (SPIE 2007). `along` are the differences from column to column.
    """
    total = float(along.sum())
    if total == 0:
        return 0.0  # nothing to see, nothing blurred
    left = np.abs(np.diff(cv2.blur(plane, (9, 1)), axis=1))
    return 1 - float(np.maximum(0, along - left).sum()) / total


def measure_blocks(along: _Plane) -> float:
    """By how many grey levels steps at one of eight columns exceed those at the others, wherever blocks begin."""
    alone = along[:, 1:-1] - (along[:, :-2] + along[:, 2:]) / 2
    profile = np.clip(alone, 0, _HIGHEST_STEP).mean(axis=0)
    if profile.size < 2 * _BLOCK:
        return 0.0
    places = [float(profile[at::_BLOCK].mean()) for at in range(_BLOCK)]
    highest = max(places)
    return highest - (sum(places) - highest) / (_BLOCK - 1)


def measure_noise(plane: _Plane) -> float:
    """The deviation of noise in grey levels, in the calmest parts (Immerkær, CVIU 1996)."""
    response = np.abs(cv2.filter2D(plane, -1, _IMMERKAER))
    cells = cv2.resize(response, (max(1, plane.shape[1] // _CELL), max(1, plane.shape[0] // _CELL)), None, 0, 0, 3)
    return float(np.percentile(cells, _CALMEST) * np.sqrt(np.pi / 2) / 6)


def measure_bands(along: _Plane) -> float:
    """The mean square, over all places, of the lone small steps between two flat bands, in grey levels."""
    flat = (along == 0).astype(np.float32)
    runs = cv2.blur(flat, (_BAND, 1)) > 1 - 1e-3  # in the middle of a flat run
    step = (along >= _LOW_STEP) & (along <= _HIGH_STEP)
    reach = _BAND // 2 + 1
    lone = step[:, reach:-reach] & runs[:, : -2 * reach] & runs[:, 2 * reach :]
    return float((lone * along[:, reach:-reach] ** 2).mean()) if lone.size else 0.0
