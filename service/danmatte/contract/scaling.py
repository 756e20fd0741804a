"""Downscaling of pictures by averaging each pixel's area."""

import mmap
import threading
from collections import OrderedDict

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from danmatte.frame import Pixels, Size

_MAX_RATIO = 8  # along an axis, because libswscale's tables grow with it
_MIN_PIXELS = 2**16  # of a picture: for smaller ones, passing them to libswscale takes as long as it saves
_KEPT = 8
_READ_BEYOND_BYTES = 256  # several times the size of the widest register
_FULL_CHROMA = 0x4000  # SWS_FULL_CHR_H_INP, libswscale/swscale.h: otherwise every second pixel's colour is ignored
_AREA = int(Interpolation.AREA) | _FULL_CHROMA


class _Scalers(threading.local):
    """A cache of libswscale's tables by sizes, one in each thread; the least recently used is evicted."""

    def __init__(self) -> None:
        self._kept = OrderedDict[tuple[Size, Size], VideoReformatter]()

    def get(self, before: Size, after: Size) -> VideoReformatter:
        """Return this thread's scaler for these sizes."""
        found = self._kept.pop((before, after), None) or VideoReformatter()
        self._kept[before, after] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


_scalers = _Scalers()


def shrink(pixels: Pixels, size: Size) -> Pixels:
    """Return a picture, (H, W, 3) uint8, at this size, which is smaller along one axis or both, and larger along none.

    libswscale takes a third of OpenCV's time, and differs only by rounding. OpenCV is used for whole ratios and small
    pictures, where it is faster, and for ratios above 8.
    """
    before = Size(*pixels.shape[:2])
    whole = not (before.height % size.height or before.width % size.width)
    far = before.height > _MAX_RATIO * size.height or before.width > _MAX_RATIO * size.width
    if whole or far or before.pixels < _MIN_PIXELS:
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
    # packed to planar, which is libswscale's fastest conversion; the channels' real order doesn't matter
    frame = _wrap(np.require(pixels, requirements=("C", "W")))
    found = _scalers.get(before, size).reformat(
        frame, size.width, size.height, format="gbrp", interpolation=_AREA, threads=1
    )
    second, third, first = (  # gbrp is green, blue, red; its rows are padded
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: size.height, : size.width]
        for plane in found.planes
    )
    return cv2.merge((first, second, third))  # type: ignore[return-value]


def _wrap(pixels: Pixels) -> av.VideoFrame:
    """Return the pixels as an FFmpeg frame, without a copy if that is safe.

    libswscale loads whole registers, and thus reads beyond the last pixel. That is harmless within a page of memory.
    If the pixels end close to the end of a page, the next page may not be mapped, and the process would crash. They
    are copied then, because frames allocated by FFmpeg have padding at the end.
    """
    end = pixels.ctypes.data + pixels.nbytes
    if -end % mmap.PAGESIZE < _READ_BEYOND_BYTES:
        return av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")
