"""Hostile videos: with odd sizes and formats, with changes in the middle, with false headers, or truncated."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from tests.service.tracks.videos import walking, write


class Case(NamedTuple):
    """A video and its expected outcome: a track, or an error that contains `says`."""

    name: str
    make: Callable[[Path], object]
    says: str = ""


def write_raw(
    path: Path, sizes: Sequence[tuple[int, int]], pixel: str = "yuv420p", *, codec: str = "rawvideo", count: int = 3
) -> None:
    """Write pictures of noise with any codec: for each size, (height, width), `count` of them."""
    chance = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        (height, width), *_ = sizes
        stream = container.add_stream(codec, rate=25, width=width, height=height, pix_fmt=pixel)
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        pts = 0
        for height, width in sizes:
            for _ in range(count):
                frame = av.VideoFrame(width, height, pixel)
                for plane in frame.planes:
                    plane.update(chance.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
                frame.pts, pts = pts, pts + 1
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_changing(path: Path, sizes: Sequence[tuple[int, int]], pixels: Sequence[str] = (), *, count: int = 6) -> None:
    """Write one stream with packets of several encoders, one per size, (height, width), as in stitched broadcasts."""
    pts, pixels = 0, pixels or ["yuv420p"] * len(sizes)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=sizes[0][1], height=sizes[0][0], pix_fmt=pixels[0])
        for (height, width), pixel in zip(sizes, pixels, strict=True):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, pixel
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            encoder.options = {"preset": "ultrafast", "tune": "zerolatency"}
            grey = np.resize(walking(1)[0], (height, width))
            for at in range(count):
                frame = av.VideoFrame.from_ndarray(np.dstack([np.roll(grey, at, 1)] * 3), "rgb24")
                frame = frame.reformat(format=pixel)
                frame.pts = at
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    packet.pts = packet.dts = pts
                    packet.time_base, pts = Fraction(1, 25), pts + 1
                    container.mux(packet)


def truncate(path: Path, share: float) -> None:
    write(path, walking(50))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def garble(path: Path) -> None:
    """Write a video in which every hundredth byte of the second half is inverted."""
    write(path, walking(50), gop=5)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data), 100):
        data[at] ^= 0xFF
    path.write_bytes(data)


def stretch(path: Path, ratio: Fraction) -> None:
    """Write a video whose header states this pixel aspect ratio."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=320, height=180, pix_fmt="yuv420p")
        stream.codec_context.sample_aspect_ratio = ratio
        for picture in walking(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.dstack([picture] * 3), "rgb24")))
        container.mux(stream.encode(None))


SIZES = [(1, 1), (1, 2), (2, 1), (3, 5), (1, 700), (700, 1), (17, 9), (2, 4096), (4096, 2), (361, 641)]
PIXELS = [
    "gray",
    "gray10le",
    "gray16le",
    "gbrp10le",
    "gbrp16le",
    "yuv410p",
    "yuv411p",
    "yuv440p",
    "yuv444p12le",
    "yuva420p",
    "yuva444p16le",
    "rgb48le",
    "rgba64le",
    "bgra",
    "ya8",
]
RAW_PIXELS = [
    "rgb4",
    "bgr4_byte",
    "monow",
    "monob",
    "rgb24",
    "bgr24",
    "rgb555le",
    "uyvy422",
    "yuyv422",
    "nv12",
    "p010le",
    "xyz12le",
]


CODED_PIXELS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"]
CHANGES = {
    "larger": [(90, 160), (180, 320)],
    "odd": [(180, 320), (46, 82), (360, 640)],
    "turned": [(180, 320), (320, 180)],
    "tiny": [(180, 320), (2, 2), (180, 320)],
}


def list_cases() -> Iterator[Case]:
    """Return all hostile videos."""
    for height, width in SIZES:
        yield Case(f"size-{width}x{height}-raw.mkv", partial(write_raw, sizes=[(height, width)], pixel="gray"))
        yield Case(
            f"size-{width}x{height}-coded.nut",
            partial(write_raw, sizes=[(height, width)], pixel="yuvj420p", codec="mjpeg"),
        )
    for pixel in PIXELS:
        yield Case(f"pixels-{pixel}-coded.mkv", partial(write_raw, sizes=[(47, 83)], pixel=pixel, codec="ffv1"))
    for pixel in RAW_PIXELS:
        yield Case(f"pixels-{pixel}-raw.nut", partial(write_raw, sizes=[(47, 83)], pixel=pixel))
    for pixel in ("bayer_rggb8", "bayer_gbrg16le"):
        raw = partial(write_raw, sizes=[(3, 64)], pixel=pixel)
        yield Case(f"pixels-{pixel}-raw.nut", raw, f"expected pixels that players show, received {pixel}")
    for name, sizes in CHANGES.items():
        yield Case(f"changes-{name}-ts.ts", partial(write_changing, sizes=sizes))
        yield Case(f"changes-{name}-mkv.mkv", partial(write_changing, sizes=sizes))
    yield Case("changes-pixels.ts", partial(write_changing, sizes=[(90, 160)] * 4, pixels=CODED_PIXELS))
    for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        for suffix in (".mp4", ".mkv", ".ts", ".avi"):
            yield Case(f"truncated-{share}-{suffix[1:]}{suffix}", partial(truncate, share=share))
    for suffix in (".mp4", ".mkv", ".ts"):
        yield Case(f"garbled-{suffix[1:]}{suffix}", garble)
    for ratio in (Fraction(1, 60000), Fraction(60000, 1), Fraction(3, 2)):
        yield Case(f"pixel-ratio-{ratio.numerator}-{ratio.denominator}.mp4", partial(stretch, ratio=ratio))
    yield Case("huge.mov", partial(write_raw, sizes=[(12000, 12000)], pixel="gray", codec="png", count=1), "at most")
    yield Case("empty.mp4", Path.touch, "expected a video")
    yield Case("text.mp4", partial(Path.write_text, data="no video"), "expected a video")
    yield Case("folder.mp4", Path.mkdir)
