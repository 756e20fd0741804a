"""Ladders: versions of a clip with increasing damage of one kind, and how well scores follow the damage."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from danmatte_workbench.training.quality import degradation
from danmatte_workbench.training.quality.degradation import Picture

FRAMES = 48
RATE = 24
Clip = list[Picture]


@dataclass(frozen=True)
class Ladder:
    """One kind of damage in degrees, the mildest first; `trained`: whether the network was trained on this kind."""

    name: str
    degrees: tuple[float, ...]
    damage: Callable[[Clip, float], Clip]
    trained: bool = True


def each(damage: Callable[[Picture, float], Picture]) -> Callable[[Clip, float], Clip]:
    """Return a function that applies the damage to every frame of a clip."""
    return lambda clip, degree: [damage(picture, degree) for picture in clip]


def add_noise(clip: Clip, sigma: float) -> Clip:
    """Return the clip with different noise in every frame."""
    rng = np.random.default_rng(1)
    return [degradation.add_noise(picture, sigma, rng) for picture in clip]


def drop_frames(clip: Clip, share: float) -> Clip:
    """Replace a random share of the frames by the previous one; a larger share includes the frames of a smaller one."""
    order = np.random.default_rng(2).permutation(np.arange(1, len(clip)))
    dropped = set(order[: round(share * len(clip))].tolist())
    kept = [at if at not in dropped else -1 for at in range(len(clip))]
    last, shown = 0, []
    for at in kept:
        last = at if at >= 0 else last
        shown.append(clip[last])
    return shown


LADDERS = (
    Ladder(
        "x264 CRF",
        (23, 28, 33, 38, 43, 48),
        lambda clip, crf: degradation.encode(clip, "libx264", {"crf": str(crf), "preset": "veryfast"}),
    ),
    Ladder("JPEG", (70, 50, 30, 18, 10, 5), each(degradation.compress_jpeg)),
    Ladder("blur", (0.8, 1.2, 1.8, 2.6, 3.6, 5.0), each(degradation.blur)),
    Ladder("noise", (3, 6, 10, 16, 24, 36), add_noise),
    Ladder("banding", (32, 24, 16, 12, 8, 5), each(degradation.band)),
    Ladder("downscaling", (1.5, 2, 2.5, 3, 4, 6), each(degradation.shrink), trained=False),
    Ladder("dropped frames", (0.04, 0.1, 0.2, 0.3, 0.4, 0.5), drop_frames, trained=False),
    Ladder(
        "MPEG-2 quantizer",
        (3, 6, 10, 16, 23, 31),
        lambda clip, q: degradation.encode(clip, "mpeg2video", {"q": str(round(q))}),
        trained=False,
    ),
)


def read_clip(path: Path, first: int = 0) -> Clip:
    """Return FRAMES frames from number `first` on, with even sides, of a video or of a folder's images/."""
    if path.is_dir():
        pictures = [cv2.imread(str(file)) for file in sorted((path / "images").glob("*.jpg"))[first : first + FRAMES]]
        found = [np.asarray(picture[..., ::-1], np.uint8) for picture in pictures if picture is not None]
    else:
        with av.open(str(path), "r") as container:
            frames = (frame for number, frame in enumerate(container.decode(video=0)) if number >= first)
            wanted = itertools.islice(frames, FRAMES)
            found = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in wanted]
    return [
        np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]) for picture in found
    ]


def write_clip(clip: Sequence[Picture], path: Path) -> Path:
    """Write the clip as a lossless video, except that colours are stored at half the size."""
    height, width = clip[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264",
            rate=Fraction(RATE),
            width=width,
            height=height,
            pix_fmt="yuv420p",
            options={"qp": "0", "preset": "ultrafast"},
        )
        for picture in clip:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def climb(clip: Clip, ladder: Ladder) -> Iterator[tuple[float, Path]]:
    """Yield every degree with a video of the damaged clip, which is overwritten by the next."""
    with tempfile.TemporaryDirectory() as folder:
        for degree in ladder.degrees:
            yield degree, write_clip(ladder.damage(clip, degree), Path(folder) / "clip.mkv")


def measure_tau(scores: Sequence[float]) -> float:
    """Return Kendall's τ-b of scores and degrees, the mildest first: 1 if each score is lower than the one before."""
    pairs = [(a, b) for a in range(len(scores)) for b in range(a + 1, len(scores))]
    signs = np.sign([scores[a] - scores[b] for a, b in pairs])
    untied = np.count_nonzero(signs)
    return float(signs.sum() / np.sqrt(untied * len(pairs))) if untied else 0.0
