"""Pictures made smaller by the mean of every pixel's area."""

import mmap
import threading
from collections import OrderedDict

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from danmatte.frame import Pixels, Size

_MOST_TIMES = 8  # times smaller, along an axis: libswscale's tables grow with it
_FEWEST_PIXELS = 2**16  # of a picture: below that, handing it over to libswscale costs as much as is gained
_KEPT = 8
_READ_BEYOND_BYTES = 256  # more than the widest register has, several times
_FULL_CHROMA = 0x4000  # SWS_FULL_CHR_H_INP, libswscale/swscale.h: otherwise every other one counts for its colour
_AREA = int(Interpolation.AREA) | _FULL_CHROMA


class _Scalers(threading.local):
    """libswscale's tables, by the sizes they are for; those used last stay."""

    def __init__(self) -> None:
        self._kept = OrderedDict[tuple[Size, Size], VideoReformatter]()

    def get(self, before: Size, after: Size) -> VideoReformatter:
        """This thread's own."""
        found = self._kept.pop((before, after), None) or VideoReformatter()
        self._kept[before, after] = found
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return found


_scalers = _Scalers()


def shrink(pixels: Pixels, size: Size) -> Pixels:
    """(H, W, 3) uint8 at this size, which is smaller along one axis or both and larger along none.

    libswscale takes a third of the time that OpenCV does, and differs by a rounding. OpenCV is faster at whole
    fractions and for small pictures, and so does those.
    """
    before = Size(*pixels.shape[:2])
    whole = not (before.height % size.height or before.width % size.width)
    far = before.height > _MOST_TIMES * size.height or before.width > _MOST_TIMES * size.width
    if whole or far or before.pixels < _FEWEST_PIXELS:
        return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
    # packed to planar, which libswscale is fastest at; it need not know which channel is which
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
    """The pixels as FFmpeg has them, where they lie if that is safe.

    libswscale loads whole registers, and so reads beyond the last pixel. That does no harm within a page of memory;
    where the pixels end with theirs, the next one may be nobody's, and the process would crash. Frames of FFmpeg's own
    have room behind them.
    """
    end = pixels.ctypes.data + pixels.nbytes
    if -end % mmap.PAGESIZE < _READ_BEYOND_BYTES:
        return av.VideoFrame.from_ndarray(pixels, format="rgb24")
    return av.VideoFrame.from_numpy_buffer(pixels, format="rgb24")
