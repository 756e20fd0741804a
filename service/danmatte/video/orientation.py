"""Orientation of stored pictures: the eight combinations of turning and mirroring in a display matrix."""

from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeAlias

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

from danmatte.frame import Pixels, Size, TurnStep
from danmatte.video.packets import read_packets

Sides: TypeAlias = tuple[float, float, float, float]  # a value for top, bottom, left and right

_SEI_UNITS = {"h264": "6", "hevc": "39|40"}  # NAL unit types in which the stream itself may state an orientation
_MAX_PACKETS = 100  # that are read until one gives a frame


@dataclass(frozen=True)
class Orientation:
    """The steps that make a picture upright: transpose it, then mirror it left to right, then top to bottom."""

    transposed: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        """Return the orientation in a frame's display matrix (ISO/IEC 14496-12, 8.3.2), to the nearest quarter turn.

        A pixel (x, y) is shown at (a x + c y, b x + d y); the rows of the matrix are a b u, c d v, and offsets.
        """
        found = frame.side_data.get("DISPLAYMATRIX")
        if found is None:
            return cls()
        numbers = np.frombuffer(found, np.int32)  # type: ignore[call-overload] # a buffer, though its type doesn't say so
        (a, b), (c, d) = numbers.reshape(3, 3)[:2, :2].tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def name_steps(self) -> tuple[TurnStep, ...]:
        """Return the names of the steps that apply, in order."""
        steps: dict[TurnStep, bool] = {
            "transposed": self.transposed,
            "mirrored": self.mirrored,
            "upended": self.upended,
        }
        return tuple(name for name, is_done in steps.items() if is_done)

    def turn_size(self, size: Size) -> Size:
        """Return the upright size for a stored size, or the stored size for an upright one."""
        return Size(size.width, size.height) if self.transposed else size

    def turn_sides_back(self, sides: Sides) -> Sides:
        """Return the values of the stored picture's sides, from those of the upright one: top, bottom, left, right."""
        top, bottom, left, right = sides
        top, bottom = (bottom, top) if self.upended else (top, bottom)
        left, right = (right, left) if self.mirrored else (left, right)
        return (left, right, top, bottom) if self.transposed else (top, bottom, left, right)

    def turn_upright(self, frame: av.VideoFrame) -> Pixels:
        """Return the upright picture, (H, W) or (H, W, 3) uint8."""
        pixels: Pixels = frame.to_ndarray()  # type: ignore[assignment] # of 8 bits once it was reformatted
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        return np.ascontiguousarray(turned[:: -1 if self.upended else 1, :: -1 if self.mirrored else 1])


def read_stated_orientation(container: InputContainer, stream: VideoStream, shown: Orientation) -> Orientation:
    """Return the orientation that the container states, for a stream whose first decoded frame has the one `shown`.

    An orientation in the stream itself overrides the container's in the decoder, but browsers ignore it. So the first
    frame is decoded again without it. Reads on from the container's position.
    """
    units = _SEI_UNITS.get(stream.codec_context.name)
    if units is None:
        return shown
    strip = BitStreamFilterContext(f"filter_units=remove_types={units}", stream)
    try:
        for packet in islice(read_packets(container, stream), _MAX_PACKETS):
            for bare in strip.filter(packet):
                for frame in stream.codec_context.decode(bare):
                    return Orientation.of(frame)
    except av.FFmpegError:
        pass
    return shown
