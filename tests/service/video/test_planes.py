"""A frame's planes and patches, without converting all of it to RGB."""

from itertools import product
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest

from danmatte.video.planes import cut_brightness, cut_patches, read_planes
from tests.service.quality.pictures import draw_scene


class Part(NamedTuple):
    top: int
    left: int
    height: int
    width: int


PARTS = [Part(0, 0, 64, 64), Part(20, 130, 48, 96), Part(116, 224, 64, 96)]


def make_frame(pixel: str, grey: bool = False) -> tuple[av.VideoFrame, np.ndarray]:
    """Return a frame of 180 by 320 in a pixel format, and its picture, (H, W, 3) uint8 RGB."""
    light = draw_scene(180, 320)
    tint = cv2.GaussianBlur(draw_scene(180, 320, seed=2), (0, 0), 6) if not grey else light
    picture = np.dstack([light, tint // 2 + light // 2, light])
    return av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel), picture


@pytest.mark.parametrize("pixel", ["yuv420p", "yuvj420p", "yuv444p", "yuv420p10le", "nv12"])
def test_patches_equal_the_same_areas_of_the_whole_frame(pixel: str) -> None:
    frame, picture = make_frame(pixel)
    for place, patch in zip(PARTS, cut_patches(read_planes(frame), PARTS), strict=True):
        expected = picture[place.top : place.top + place.height, place.left : place.left + place.width]
        assert patch.shape == expected.shape
        assert np.abs(patch.astype(int) - expected).mean() < 5


@pytest.mark.parametrize("pixel", ["yuv420p", "yuvj420p", "yuv420p10le"])
def test_brightness_ranges_from_16_to_235_in_any_pixel_format(pixel: str) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, 32:] = 255
    planes = read_planes(av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pixel))
    assert abs(int(planes[0][10, 4]) - 16) <= 1
    assert abs(int(planes[0][10, 60]) - 235) <= 1


def test_planes_share_the_memory_of_the_frame_and_patches_are_copies() -> None:
    frame, _ = make_frame("yuv420p")
    planes = read_planes(frame)
    assert not planes[0].flags.owndata
    (patch,) = cut_brightness(planes, PARTS[:1])
    assert patch.flags.owndata or patch.base is not planes[0].base
    assert (patch == planes[0][:64, :64]).all()


def test_colour_planes_have_half_the_size_of_the_frame() -> None:
    for height, width in product((48, 50), (64, 66)):
        shapes = [plane.shape for plane in read_planes(av.VideoFrame(width, height, "yuv420p"))]
        assert shapes == [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
