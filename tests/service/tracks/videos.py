"""Small videos written on the spot: a bright person walks through a scene."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.service.scenes import scene, with_person


def walking(count: int, *, number: int = 1, still: bool = False) -> list[np.ndarray]:
    """Grey pictures of a person who walks, or stands."""
    return [with_person(20 if still else 20 + 3 * (at % 60), number) for at in range(count)]


def empty(count: int, number: int = 2) -> list[np.ndarray]:
    """Grey pictures of another, brighter scene without a person."""
    return [scene(number, light=150) for _ in range(count)]


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    times_ms: Sequence[int] | None = None,
    rotation: int = 0,
    pixel: str = "yuv420p",
    codec: str = "libx264",
    gop: int = 12,
) -> Path:
    """A video of these pictures, 25 a second unless their times are given; its container is told by the suffix."""
    times = range(0, 40 * len(pictures), 40) if times_ms is None else times_ms
    height, width = pictures[0].shape
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        coding = {"preset": "ultrafast", "crf": "12"} if codec.startswith("libx26") else {}
        stream = container.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixel, options=coding)
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, 0
        if rotation:
            stream.set_display_rotation(rotation)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.dstack([picture] * 3), "rgb24").reformat(format=pixel)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
