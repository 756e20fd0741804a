"""Degradation of pictures: compression, blur, noise, bands, and downscaling.

Pictures are (H, W, 3) uint8 in R, G, B. All randomness comes from the generator that the caller passes.
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
_FORMAT = "nut"  # accepts every codec without restrictions
PRESETS = ("veryfast", "medium")


def blur(picture: Picture, sigma: float) -> Picture:
    """Return the picture with Gaussian blur; ``sigma`` is in pixels."""
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.uint8)


def add_noise(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Return the picture with Gaussian noise, separate for each channel; ``sigma`` is in grey levels."""
    noise = rng.normal(0.0, sigma, picture.shape).astype(np.float32)
    return np.asarray(np.clip(picture + noise + 0.5, 0, 255), np.uint8)


def add_grain(picture: Picture, sigma: float, rng: np.random.Generator) -> Picture:
    """Return the picture with the same noise in all channels, as in film; ``sigma`` is in grey levels."""
    noise = rng.normal(0.0, sigma, (*picture.shape[:2], 1)).astype(np.float32)
    return np.asarray(np.clip(picture + noise + 0.5, 0, 255), np.uint8)


def band(picture: Picture, levels: float) -> Picture:
    """Return the picture with each channel quantized to this many levels, 2 to 256."""
    step = 255.0 / (max(2.0, levels) - 1)
    table = np.clip(np.round(np.round(np.arange(256) / step) * step), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(picture, table), np.uint8)


def compress_jpeg(picture: Picture, quality: float) -> Picture:
    """Return the picture after JPEG compression with a ``quality`` of 1 to 100."""
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, round(quality)])
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(back[..., ::-1])


def shrink(picture: Picture, factor: float) -> Picture:
    """Return the picture downscaled by this factor, 1 or more, and enlarged to its original size."""
    height, width = picture.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    less = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def encode(pictures: Sequence[Picture], codec: str, options: dict[str, str]) -> list[Picture]:
    """Encode pictures of one size, with even sides, by a video codec; return the decoded ones in the same order."""
    file = BytesIO()
    height, width = pictures[0].shape[:2]
    with av.open(file, "w", format=_FORMAT) as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=Fraction(_RATE), options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        if "q" in options:  # a constant quantizer, which MPEG-2 and MPEG-4 take from qmin and qmax
            stream.codec_context.qmin = stream.codec_context.qmax = int(options["q"])
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file, "r") as received:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in received.decode(video=0)]


def compress_h264(picture: Picture, crf: float, rng: np.random.Generator) -> Picture:
    """Return the last of 1 to 3 frames of a slightly moving picture by x264, at a constant rate factor of 0 to 51."""
    dy, dx = (int(value) for value in rng.integers(-3, 4, 2))
    count = int(rng.integers(1, 4))
    moved = [np.roll(picture, (dy * back, dx * back), (0, 1)) for back in range(count - 1, -1, -1)]
    options = {"crf": f"{crf:.1f}", "preset": PRESETS[int(rng.integers(len(PRESETS)))]}
    return encode(moved, "libx264", options)[-1]


def _between(low: float, high: float, strength: float) -> float:
    return low + (high - low) * strength


def _grow(low: float, high: float, strength: float) -> float:
    return float(low * (high / low) ** strength)


# Strengths range from 0, hardly visible, to 1, unusable. Downscaling isn't used for training, because it measures how
# the network rates a kind of damage that it wasn't trained on.
DEGRADATIONS: dict[str, Degrade] = {
    "h264": lambda picture, strength, rng: compress_h264(picture, _between(16, 51, strength), rng),
    "jpeg": lambda picture, strength, rng: compress_jpeg(picture, _between(96, 4, strength**0.6)),
    "blur": lambda picture, strength, rng: blur(picture, _grow(0.4, 5.0, strength)),
    "noise": lambda picture, strength, rng: add_noise(picture, _grow(1.5, 45.0, strength), rng),
    "grain": lambda picture, strength, rng: add_grain(picture, _grow(1.5, 45.0, strength), rng),
    "bands": lambda picture, strength, rng: band(picture, _grow(96.0, 3.0, strength)),
}
SHARES = {"h264": 0.4, "jpeg": 0.2, "blur": 0.15, "noise": 0.08, "grain": 0.05, "bands": 0.12}
_MILD = 0.45  # maximum strength of the damage that a picture has at first
_COMES_DAMAGED = 0.3  # share of the pictures with such damage


def degrade(picture: Picture, count: int, rng: np.random.Generator) -> list[Picture]:
    """Return the picture and ``count`` versions of it with increasing damage of one random kind.

    Some pictures first get mild damage of another kind, because most videos have some.
    """
    kind, before = rng.choice(list(SHARES), 2, replace=False, p=list(SHARES.values()))
    if rng.random() < _COMES_DAMAGED:
        picture = DEGRADATIONS[str(before)](picture, _MILD * float(rng.random()), rng)
    # One random strength in each part of the range, so that strengths differ.
    strengths = (np.arange(count) + rng.random(count)) / count
    return [picture, *(DEGRADATIONS[str(kind)](picture, float(strength), rng) for strength in strengths)]
