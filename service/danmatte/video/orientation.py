"""How a stored picture has to be turned and mirrored to be seen upright: the eight ways of a display matrix."""

from dataclasses import dataclass
from itertools import islice
from typing import Self

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream

from danmatte.frame import Pixels, Size, TurnStep
from danmatte.video.packets import read_packets

_TOLD_BY = {"h264": "6", "hevc": "39|40"}  # units in which a stream may state an orientation of its own
_LOOKED_AT = 100  # packets, up to a frame without them


@dataclass(frozen=True)
class Orientation:
    """Rows and columns change places first, then the picture is mirrored left to right, and top to bottom."""

    transposed: bool = False
    mirrored: bool = False
    upended: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Self:
        """What the container's display matrix says (ISO/IEC 14496-12, 8.3.2), to the nearest quarter turn.

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
        """What is done to the stored picture, in words, in this order."""
        steps: dict[TurnStep, bool] = {
            "transposed": self.transposed,
            "mirrored": self.mirrored,
            "upended": self.upended,
        }
        return tuple(name for name, is_done in steps.items() if is_done)

    def turn_size(self, size: Size) -> Size:
        """The size upright of a stored picture, and the other way round."""
        return Size(size.width, size.height) if self.transposed else size

    def turn_upright(self, frame: av.VideoFrame) -> Pixels:
        """The picture, (H, W) or (H, W, 3) uint8, as it is to be seen."""
        pixels: Pixels = frame.to_ndarray()  # type: ignore[assignment] # of 8 bits once it was reformatted
        turned = pixels.swapaxes(0, 1) if self.transposed else pixels
        return np.ascontiguousarray(turned[:: -1 if self.upended else 1, :: -1 if self.mirrored else 1])


def read_stated_orientation(container: InputContainer, stream: VideoStream, shown: Orientation) -> Orientation:
    """What the container states of its pictures, where their first frame came with an orientation, `shown`.

    A decoder gives what the stream itself states in place of it, which browsers don't read: the first frame is decoded
    without that. The container is read from where it is.
    """
    units = _TOLD_BY.get(stream.codec_context.name)
    if units is None:
        return shown
    strip = BitStreamFilterContext(f"filter_units=remove_types={units}", stream)
    try:
        for packet in islice(read_packets(container, stream), _LOOKED_AT):
            for bare in strip.filter(packet):
                for frame in stream.codec_context.decode(bare):
                    return Orientation.of(frame)
    except av.FFmpegError:
        pass
    return shown
