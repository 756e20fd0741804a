"""Changes between two small grey pictures: cuts, mean differences, and optical flow."""

from typing import TypeAlias, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from danmatte.frame import Pixels, Probabilities

Flow: TypeAlias = npt.NDArray[np.float32]  # (H, W, 2): x and y, in pixels
Picture = TypeVar("Picture", Pixels, Probabilities)

_TINY = (64, 36)
_PATCH = (8, 6)
_BINS = 32
_FLAT = 4.0  # grey levels of contrast: patches with less have no structure to compare
_STRANGE = 0.3  # correlation of structure: different scenes are below it, slow pans above
_MOVED = 0.12  # share of the histogram: pans by a tenth of the picture are below it
_BLANK = 0.25  # share of the patches with contrast: a white or black picture below it is a flash or a fade
_FLASH_FRAMES = 3
_ALIKE = 16.0  # levels in the colour that differs most: above it pictures are hardly alike
_NARROW = 32  # with a shorter side, OpenCV rejects some pictures and crashes on others


def correlate_structure(before: Pixels, after: Pixels) -> float:
    """Return how similar the structure of two pictures is, -1 to 1, independent of brightness.

    This is the mean correlation of the patches that have contrast, or 1 if none has.
    """
    one, other = _cut_patches(before), _cut_patches(after)
    spread = np.sqrt((one**2).mean(1) * (other**2).mean(1))  # normalizes contrast, as the means did with brightness
    seen = np.maximum((one**2).mean(1), (other**2).mean(1)) > _FLAT**2
    if not seen.any():
        return 1.0
    return float(((one * other).mean(1)[seen] / (spread[seen] + _FLAT**2 / 4)).mean())


def _cut_patches(grey: Pixels) -> Probabilities:
    """Return the picture's patches minus their mean, (count, pixels)."""
    (width, height), (wide, high) = _TINY, _PATCH
    tiny = cv2.resize(grey, _TINY, interpolation=cv2.INTER_AREA).astype(np.float32)
    flat = tiny.reshape(height // high, high, width // wide, wide).swapaxes(1, 2).reshape(-1, high * wide)
    patches: Probabilities = flat - flat.mean(1, keepdims=True)
    return patches


def compare_histograms(before: Pixels, after: Pixels) -> float:
    """Return the share of pixels, 0 to 1, by which the brightness histograms of two pictures differ."""
    first, second = (np.bincount(grey.ravel() >> 3, minlength=_BINS) / grey.size for grey in (before, after))
    # Smoothed so that a slight change of light, which moves pixels to the next bin, counts less.
    smooth = np.convolve(first - second, (0.25, 0.5, 0.25), "same")
    return float(np.abs(smooth).sum() / 2)


def is_cut(before: Pixels, after: Pixels) -> bool:
    """Return whether a new scene begins: both structure and histogram differ, so a fast pan doesn't count."""
    return correlate_structure(before, after) < _STRANGE and compare_histograms(before, after) > _MOVED


class CutDetector:
    """A detector of the first frame of every scene; a flash, and the return to the scene after it, don't count."""

    def __init__(self) -> None:
        self._last: Pixels | None = None
        self._before: Pixels | None = None  # the last picture before the newest cut
        self._age = 0  # pictures since then

    def step(self, grey: Pixels) -> bool:
        """Return whether a scene begins with this picture, (H, W) uint8; the first picture doesn't count."""
        # A white or black picture is a flash or a fade: it is skipped, and the next is compared with the one before it.
        if self._last is not None and not 15 < float(cv2.mean(grey)[0]) < 190:
            with_contrast = float((_cut_patches(grey).std(1) > _FLAT).mean())
            if with_contrast < _BLANK:
                return False
        last, self._last = self._last, grey
        self._age += 1
        if last is None or not is_cut(last, grey):
            return False
        # If the previous scene is back within some frames, the frames between were a flash or a short insert.
        flashed = self._before is not None and self._age <= _FLASH_FRAMES and not is_cut(self._before, grey)
        self._before, self._age = last, 0
        return not flashed


def measure_change(before: Pixels, after: Pixels) -> tuple[float, float]:
    """Return the mean difference in grey levels of the whole picture and of its worst block of 16 by 16 pixels."""
    difference = cv2.absdiff(before, after)
    height, width = difference.shape
    blocks = cv2.resize(difference, (max(1, width // 16), max(1, height // 16)), interpolation=cv2.INTER_AREA)
    return float(cv2.mean(difference)[0]), float(blocks.max())


def measure_likeness(one: Pixels, other: Pixels) -> Probabilities:
    """Return how alike two pictures, (H, W, 3) uint8, are at each pixel: (H, W) float32, 0 to 1."""
    red, green, blue = cv2.split(cv2.absdiff(one, other))
    worst = cv2.max(cv2.max(red, green), blue)
    off: Probabilities = cv2.blur(worst.astype(np.float32), (3, 3)) / np.float32(_ALIKE)
    return cv2.exp(-off * off)  # type: ignore[return-value]


class OpticalFlow:
    """Dense optical flow between small grey pictures (DIS: Kroeger et al., ECCV 2016), and warping along it."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_ULTRAFAST)
        self._grid: Flow | None = None
        # The last flow and its target coordinates, because several pictures are warped along the same flow.
        self._places: tuple[Flow, Flow] | None = None

    def compute(self, here: Pixels, there: Pixels) -> Flow:
        """Return the displacement, (H, W, 2) as x and y in pixels, of each pixel of `here` to its place in `there`.

        It is 0 everywhere if the pictures are too narrow for OpenCV.
        """
        if min(here.shape) < _NARROW:
            return np.zeros((*here.shape, 2), np.float32)
        return self._dis.calc(here, there, None)  # type: ignore[call-overload, no-any-return]

    def warp(self, picture: Picture, flow: Flow) -> Picture:
        """Return `picture` warped by `flow`: each pixel gets the value at the place that its flow points to."""
        if self._grid is None or self._grid.shape != flow.shape:
            rows, columns = np.indices(flow.shape[:2], np.float32)
            self._grid = np.dstack([columns, rows])
        if self._places is None or self._places[0] is not flow:
            self._places = flow, self._grid + flow
        return cv2.remap(picture, self._places[1], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload, no-any-return]
