"""A decoded frame, and its conversion to the required sizes and pixel formats."""

from dataclasses import dataclass, field
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import Colorspace, ColorTrc, Interpolation, VideoReformatter

from danmatte.errors import TrackError
from danmatte.frame import Pixels, Size
from danmatte.video.orientation import Orientation, Sides
from danmatte.video.planes import read_planes


def _compute_pq_curve() -> Pixels:
    """Return the curve from PQ (SMPTE ST 2084) to gamma 2.2, for 256 levels, as 256 levels.

    Diffuse white is 203 nits (ITU-R BT.2408); brighter levels are compressed.
    """
    root = (np.arange(256) / 255) ** (32 / 2523)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610) * 10_000 / 203
    squeezed = light * (1 + light / 25) / (1 + light)
    return (255 * np.clip(squeezed, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)


_CURVES = {int(ColorTrc.SMPTE2084): _compute_pq_curve()}  # hybrid log-gamma needs none: it suits SDR displays

_UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_LINES = 720  # Chromium decodes untagged video by ITU-R BT.709 from this many lines on, and by BT.601 below


@dataclass(frozen=True)
class Reformatters:
    """libswscale's contexts, reused for all frames because creating one takes longer than converting a small frame."""

    grey: VideoReformatter = field(default_factory=VideoReformatter)
    size: VideoReformatter = field(default_factory=VideoReformatter)
    colour: VideoReformatter = field(default_factory=VideoReformatter)
    detail_size: VideoReformatter = field(default_factory=VideoReformatter)
    detail_colour: VideoReformatter = field(default_factory=VideoReformatter)


@dataclass(frozen=True)
class DecodedFrame:
    """A frame in the decoder's pixel format; `pts_ms` is its time, rounded.

    Its methods may only be called in the thread that reads the frames.
    """

    pts_ms: int
    _frame: av.VideoFrame
    _orientation: Orientation
    _reformatters: Reformatters

    def to_grey(self, size: Size) -> Pixels:
        """Return the brightness, (H, W) uint8, at this size and upright."""
        high, wide = self._orientation.turn_size(size)
        scaled = self._reformat(self._reformatters.grey, (wide, high), "gray")
        return self._orientation.turn_upright(scaled)

    def to_colours(self, size: Size, order: str) -> Pixels:
        """Return the colours, (H, W, 3) uint8, at this size and upright; `order` is RGB or BGR.

        PQ's high dynamic range is converted to standard dynamic range.
        """
        return self._convert(size, order, self._reformatters.size, self._reformatters.colour)

    def to_detail(self, size: Size, order: str) -> Pixels:
        """Return the colours at a second size; as each size is the same for all frames, both contexts are reused."""
        return self._convert(size, order, self._reformatters.detail_size, self._reformatters.detail_colour)

    def read_planes(self) -> list[Pixels]:
        """Return brightness and chroma planes as stored, not upright; see `planes.read_planes`."""
        return read_planes(self._frame)

    def turn_sides_back(self, sides: Sides) -> Sides:
        """Return values of the upright frame's sides for the sides of the planes: top, bottom, left, right."""
        return self._orientation.turn_sides_back(sides)

    def _reformat(self, scaler: VideoReformatter, size: tuple[int, int], pixels: str) -> av.VideoFrame:
        """Return the frame at a size, (width, height), in a pixel format."""
        try:
            return scaler.reformat(self._frame, *size, format=pixels, **_SCALING)
        except av.FFmpegError as error:
            form = self._frame.format.name
            raise TrackError(f"{self.pts_ms} ms: expected pixels that can be converted, received {form}") from error

    def _convert(self, size: Size, order: str, scaler: VideoReformatter, painter: VideoReformatter) -> Pixels:
        high, wide = self._orientation.turn_size(size)
        # Size and colours are converted separately, because libswscale does both at once much more slowly.
        scaled = self._reformat(scaler, (wide, high), "yuv420p")
        matrix = _guess_matrix(self._frame)
        coloured = painter.reformat(scaled, wide, high, format=f"{order.lower()}24", src_colorspace=matrix, **_SCALING)
        curve = _CURVES.get(self._frame.color_trc)
        pixels = self._orientation.turn_upright(coloured)
        return pixels if curve is None else cv2.LUT(pixels, curve)  # type: ignore[return-value]


def _guess_matrix(frame: av.VideoFrame) -> Colorspace | None:
    """Return the matrix of an untagged HD frame; None if libswscale's choice is right: the tag's, or BT.601."""
    is_hd = not frame.format.is_rgb and frame.colorspace == _UNTAGGED and frame.height >= _HD_LINES
    return Colorspace.ITU709 if is_hd else None


_SCALING: dict[str, Any] = {"interpolation": Interpolation.AREA, "threads": 1}
