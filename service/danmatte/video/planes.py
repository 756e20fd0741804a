"""A decoded frame's planes, and patches of them, without converting the whole frame to RGB."""

from collections.abc import Sequence
from typing import Protocol

import av
import cv2
import numpy as np

from danmatte.frame import Pixels

_PLANAR = {"yuv420p": False, "yuvj420p": True}  # 8-bit formats that need no conversion; True for the full range, 0-255
_NARROWED = (16 + np.arange(256) * (219 / 255) + 0.5).astype(np.uint8)  # full range to limited range, 16-235


class Rectangle(Protocol):
    """A rectangle of a frame, in pixels; all four numbers are even."""

    @property
    def top(self) -> int:
        """The first row."""

    @property
    def left(self) -> int:
        """The first column."""

    @property
    def height(self) -> int:
        """The number of rows."""

    @property
    def width(self) -> int:
        """The number of columns."""


def read_planes(frame: av.VideoFrame) -> list[Pixels]:
    """Return brightness, (H, W), with black at 16 and white at 235, and two chroma planes of half the size.

    The arrays are views of the frame's memory if it already has this format.
    """
    name = frame.format.name
    if name not in _PLANAR:
        frame = frame.reformat(format="yuv420p")
    planes = [_view(plane) for plane in frame.planes[:3]]
    if _PLANAR.get(name):
        planes[0] = np.asarray(cv2.LUT(planes[0], _NARROWED), np.uint8)
    return planes


def cut_patches(planes: Sequence[Pixels], places: Sequence[Rectangle]) -> list[Pixels]:
    """Return these parts of a frame, (h, w, 3) uint8 RGB each."""
    return [_cut(planes, place) for place in places]


def cut_brightness(planes: Sequence[Pixels], places: Sequence[Rectangle]) -> list[Pixels]:
    """Return these parts of a frame's brightness, (h, w) uint8 each, as copies."""
    return [
        planes[0][place.top : place.top + place.height, place.left : place.left + place.width].copy()
        for place in places
    ]


def _cut(planes: Sequence[Pixels], place: Rectangle) -> Pixels:
    parts = []
    for number, plane in enumerate(planes):
        shift = int(number > 0)
        rows = slice(place.top >> shift, (place.top + place.height) >> shift)
        columns = slice(place.left >> shift, (place.left + place.width) >> shift)
        parts.append(plane[rows, columns].reshape(-1))
    joined = np.concatenate(parts).reshape(place.height * 3 // 2, place.width)
    return cv2.cvtColor(joined, cv2.COLOR_YUV2RGB_I420)  # type: ignore[return-value]


def _view(plane: av.video.plane.VideoPlane) -> Pixels:
    stored: Pixels = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload] # a buffer, though its type doesn't say so
    return stored.reshape(plane.height, plane.line_size)[:, : plane.width]
