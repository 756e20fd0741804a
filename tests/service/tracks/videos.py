"""Small generated videos in which a bright person walks through a scene."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.service.scenes import scene, with_person


def walking(count: int, *, number: int = 1, still: bool = False) -> list[np.ndarray]:
    """Return grey pictures of a person who walks, or stands."""
    return [with_person(20 if still else 20 + 3 * (at % 60), number) for at in range(count)]


def empty(count: int, number: int = 2) -> list[np.ndarray]:
    """Return grey pictures of another, brighter scene without a person."""
    return [scene(number, light=150) for _ in range(count)]


def _add_silence(container: av.container.OutputContainer, seconds: int) -> None:
    stream = container.add_stream("aac", rate=8000)
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * seconds), np.float32), "fltp", "mono")
    frame.rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write(
    path: Path,
    pictures: Sequence[np.ndarray],
    *,
    times_ms: Sequence[int] | None = None,
    rotation: int = 0,
    pixel: str = "yuv420p",
    codec: str = "libx264",
    gop: int = 12,
    sound_s: int = 0,
    last_ms: int = 0,
    b_frames: int = 0,
    matrix: Sequence[int] = (),
    pixel_ratio: int = 1,
) -> Path:
    """Write a video of these pictures, 25 per second unless their times are given; the suffix selects the container.

    The last picture is shown for `last_ms`; `sound_s` adds seconds of silence. `matrix` is the a, b, c and d of a
    display matrix. Pixels are `pixel_ratio` times as wide as high.
    """
    times = range(0, 40 * len(pictures), 40) if times_ms is None else times_ms
    height, width = pictures[0].shape
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        coding = {"preset": "ultrafast", "crf": "12"} if codec.startswith("libx26") else {}
        stream = container.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixel, options=coding)
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = gop, b_frames
        stream.codec_context.sample_aspect_ratio = Fraction(pixel_ratio)
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix:
            a, b, c, d = (value << 16 for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if sound_s:
            _add_silence(container, sound_s)
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.dstack([picture] * 3), "rgb24").reformat(format=pixel)
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        for packet in stream.encode(None):
            packet.duration = last_ms or packet.duration
            container.mux(packet)
    return path
