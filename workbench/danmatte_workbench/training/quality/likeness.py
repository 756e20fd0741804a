"""Multi-scale structural similarity, the full-reference score by which samples are labelled.

Source: Wang, Simoncelli and Bovik (Asilomar 2003). A test compares it with TensorFlow's; this implementation takes a
seventh of the time on a CPU.
"""

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, the finest first
SMALLEST_SIDE = 11 * 2 ** (len(WEIGHTS) - 1)  # of a picture, so that one window fits at the coarsest scale
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def compute_likeness(original: npt.NDArray[np.uint8], degraded: npt.NDArray[np.uint8]) -> float:
    """Return the similarity in brightness of two pictures, (H, W, 3) uint8 RGB: 1 if equal, lower if they differ.

    Raises ValueError if a side is shorter than ``SMALLEST_SIDE``.
    """
    one, other = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (original, degraded))
    if min(one.shape) < SMALLEST_SIDE:
        raise ValueError(f"expected at least {SMALLEST_SIDE} pixels on each side, received {one.shape}")
    product = 1.0
    for number, weight in enumerate(WEIGHTS):
        brightness, structure = _compare(one, other)
        last = number == len(WEIGHTS) - 1
        product *= max(0.0, float((brightness * structure if last else structure).mean())) ** weight
        if not last:
            one, other = _halve(one), _halve(other)
    return product


def _compare(one: Plane, other: Plane) -> tuple[Plane, Plane]:
    """Return the similarity of two planes at every place: that of brightness, and that of contrast and structure."""
    mean, mean2 = _smooth(one), _smooth(other)
    square, square2, cross = _smooth(one * one), _smooth(other * other), _smooth(one * other)
    both = mean * mean2
    power = mean * mean + mean2 * mean2
    brightness = (2 * both + _C1) / (power + _C1)
    structure = (2 * (cross - both) + _C2) / (square + square2 - power + _C2)
    return np.asarray(brightness, np.float32), np.asarray(structure, np.float32)


def _smooth(plane: Plane) -> Plane:
    """Return Gaussian means at all places at which the whole window is inside the plane."""
    rim = _WINDOW // 2
    return np.asarray(cv2.GaussianBlur(plane, (_WINDOW, _WINDOW), _SIGMA)[rim:-rim, rim:-rim], np.float32)


def _halve(plane: Plane) -> Plane:
    height, width = (side // 2 * 2 for side in plane.shape)
    even = plane[:height, :width]
    return np.asarray((even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4, np.float32)
