"""Clips for the benchmark of libraries: many short ones cut from a real video, or a single long one."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

RATE = 10
_CODING = {"preset": "ultrafast", "crf": "23"}


def read_pictures(video: Path) -> Iterator[np.ndarray]:
    """Yield every picture of a video, (H, W, 3) uint8 RGB."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def write_clip(path: Path, pictures: Iterator[np.ndarray]) -> int:
    """Write a clip of these pictures, ten a second; return their number."""
    first = next(pictures)
    height, width = first.shape[:2]
    count = 0
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=RATE, width=width, height=height, options=_CODING)
        for picture in itertools.chain([first], pictures):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            count += 1
        container.mux(stream.encode(None))
    return count


def cut_clips(video: Path, folder: Path, *, count: int, frames: int) -> None:
    """Write ``count`` clips of ``frames`` frames each; when the video ends, it is repeated from one frame later on."""
    pictures = itertools.chain.from_iterable(
        itertools.islice(read_pictures(video), at, None) for at in itertools.count()
    )
    for number in range(count):
        home = folder / f"shelf-{number % 7}"
        home.mkdir(parents=True, exist_ok=True)
        write_clip(home / f"clip-{number:03}.mp4", itertools.islice(pictures, frames))


def write_long(video: Path, path: Path, minutes: float) -> int:
    """Write a clip that repeats the video until it has this length; return its number of frames."""
    pictures = itertools.chain.from_iterable(read_pictures(video) for _ in itertools.count())
    return write_clip(path, itertools.islice(pictures, round(minutes * 60 * RATE)))
