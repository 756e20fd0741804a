"""What makes pictures worse: compression, blur, noise, bands, smaller pictures enlarged again.

Pictures are (H, W, 3) uint8 in R, G, B. Everything random comes from the generator that is handed in.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias, cast

import av
import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.video.stream import VideoStream

Picture: TypeAlias = npt.NDArray[np.uint8]
Degrade: TypeAlias = Callable[[Picture, float, np.random.Generator], Picture]

_RATE = 25
_FORMAT = "nut"  # takes every codec, and has no limits of its own
PRESETS = ("veryfast", "medium")


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; ``sigma`` in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def add_noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Gaussian noise in every channel; ``sigma`` in grey levels."""
    noise = rng.normal(0.0, sigma, picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture + noise + 0.5, 0, 255), np.uint8)


def add_grain(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """The same noise in all channels, as that of film; ``sigma`` in grey levels."""
    noise = rng.normal(0.0, sigma, (*picture.shape[:2], 1)).astype(np.float32)
    return np.asarray(np.clip(picture + noise + 0.5, 0, 255), np.uint8)


def band(picture: Picture, levels: float) -> Picture:
    """Every channel in this many levels, 2 to 256."""
    step = 255.0 / (max(2.0, levels) - 1)
    table = np.clip(np.round(np.round(np.arange(256) / step) * step), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), np.uint8)


def compress_jpeg(picture: Picture, quality: float) -> Picture:
    """JPEG there and back; ``quality`` 1 to 100."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(back[..., ::-1])


def shrink(picture: Picture, factor: float) -> Picture:
    """Made smaller by this factor, 1 or more, and enlarged to its size again."""
    height, width = picture.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    less = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def encode(pictures: Sequence[Picture], codec: str, options: dict[str, str]) -> list[Picture]:
    """Pictures of one size, with even sides, through a video codec and back, in their order."""
    file = BytesIO()
    height, width = pictures[0].shape[:2]
    with av.open(file, "w", format=_FORMAT) as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=Fraction(_RATE), options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if "q" in options:  # a constant quantizer, which MPEG-2 and MPEG-4 take from the flags
            stream.codec_context.qmin = stream.codec_context.qmax = int(options["q"])
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as received:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in received.decode(video=0)]


def compress_h264(picture: Picture, crf: float, rng: np.random.Generator) -> Picture:
    """The last of some frames of x264 at a constant rate factor of 0 to 51, over which the picture moved a little."""
    dy, dx = (int(value) for value in rng.integers(-3, 4, 2))
    count = int(rng.integers(1, 4))
    moved = [np.roll(picture, (dy * back, dx * back), (0, 1)) for back in range(count - 1, -1, -1)]
    options = {"crf": f"{crf:.1f}", "preset": PRESETS[int(rng.integers(len(PRESETS)))]}
    return encode(moved, "libx264", options)[-1]


def _between(low: float, high: float, strength: float) -> float:
    return low + (high - low) * strength


def _grow(low: float, high: float, strength: float) -> float:
    return float(low * (high / low) ** strength)


# Strengths go from 0, hardly to be seen, to 1, ruin. Shrinking isn't here: how the network answers to a kind of damage
# that it never saw is measured by it.
DEGRADATIONS: dict[str, Degrade] = {
    "h264": lambda picture, strength, rng: compress_h264(picture, _between(16, 51, strength), rng),
    "jpeg": lambda picture, strength, rng: compress_jpeg(picture, _between(96, 4, strength**0.6)),
    "blur": lambda picture, strength, rng: blur(picture, _grow(0.4, 5.0, strength)),
    "noise": lambda picture, strength, rng: add_noise(picture, _grow(1.5, 45.0, strength), rng),
    "grain": lambda picture, strength, rng: add_grain(picture, _grow(1.5, 45.0, strength), rng),
    "bands": lambda picture, strength, rng: band(picture, _grow(96.0, 3.0, strength)),
}
SHARES = {"h264": 0.4, "jpeg": 0.2, "blur": 0.15, "noise": 0.08, "grain": 0.05, "bands": 0.12}
_MILD = 0.45  # strength of the damage that a picture comes with
_COMES_DAMAGED = 0.3  # share of the pictures that come with some


def degrade(picture: Picture, count: int, rng: np.random.Generator) -> list[Picture]:
    """The picture as it comes, and ``count`` times worse and worse by one kind of damage at random.

    Now and then it comes with mild damage of another kind already, as most videos do.
    """
    kind, before = rng.choice(list(SHARES), 2, replace=False, p=list(SHARES.values()))
    if rng.random() < _COMES_DAMAGED:
        picture = DEGRADATIONS[str(before)](picture, _MILD * float(rng.random()), rng)
    # One in each part of the range, so that they differ.
    strengths = (np.arange(count) + rng.random(count)) / count
    return [picture, *(DEGRADATIONS[str(kind)](picture, float(strength), rng) for strength in strengths)]
