"""A decoded frame's colours, which have to be those that viewers see."""

import av
import numpy as np
import pytest

from danmatte.video.decoded_frame import DecodedFrame, Reformatters
from danmatte.video.orientation import Orientation

YUV = (120, 90, 180)
BT601, BT709 = (203, 93, 44), (214, 101, 41)  # Chromium 156 shows (204, 94, 45) and (214, 102, 45)
TAGGED_709, TAGGED_470BG, TAGGED_170M = 1, 5, 6  # FFmpeg's AVCOL_SPC_*


def build_frame(width: int, height: int, tag: int | None) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, YUV, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    if tag is not None:
        frame.colorspace = tag
    return frame


def read_colour(frame: av.VideoFrame, order: str = "RGB") -> list[int]:
    decoded = DecodedFrame(0, frame, Orientation(), Reformatters())
    for pixels in (decoded.to_colours((65, 65), order), decoded.to_detail((129, 129), order)):
        colour: list[int] = pixels[10, 10].tolist()
    return colour


@pytest.mark.parametrize(
    ("size", "tag", "colour"),
    [
        ((640, 480), None, BT601),
        ((1280, 718), None, BT601),
        ((1280, 720), None, BT709),
        ((720, 1280), None, BT709),
        ((640, 480), TAGGED_709, BT709),
        ((1280, 720), TAGGED_470BG, BT601),
        ((1280, 720), TAGGED_170M, BT601),
    ],
)
def test_untagged_video_has_the_colours_that_browsers_show(
    size: tuple[int, int], tag: int | None, colour: tuple[int, int, int]
) -> None:
    frame = build_frame(*size, tag)
    assert read_colour(frame) == pytest.approx(colour, abs=2)
    assert read_colour(frame, "BGR") == pytest.approx(colour[::-1], abs=2)


def test_rgb_video_keeps_its_colours_at_any_size() -> None:
    pixels = np.full((720, 1280, 3), (200, 90, 40), np.uint8)
    assert read_colour(av.VideoFrame.from_ndarray(pixels, format="rgb24")) == pytest.approx([200, 90, 40], abs=3)
