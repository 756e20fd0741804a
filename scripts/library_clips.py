"""Clips for the bench of libraries: cut from a real video, small and many, or one long."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

RATE = 10
_CODING = {"preset": "ultrafast", "crf": "23"}


def read_pictures(video: Path) -> Iterator[np.ndarray]:
    """Every picture of a video, (H, W, 3) uint8."""
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def write_clip(path: Path, pictures: Iterator[np.ndarray]) -> int:
    """A clip of these pictures, ten a second; how many there are."""
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
    """So many clips of so many frames each; where the video ends they go on at its start, a frame later."""
    pictures = itertools.chain.from_iterable(
        itertools.islice(read_pictures(video), at, None) for at in itertools.count()
    )
    for number in range(count):
        home = folder / f"shelf-{number % 7}"
        home.mkdir(parents=True, exist_ok=True)
        write_clip(home / f"clip-{number:03}.mp4", itertools.islice(pictures, frames))


def write_long(video: Path, path: Path, minutes: float) -> int:
    """The video again and again, for so long; how many frames that is."""
    pictures = itertools.chain.from_iterable(read_pictures(video) for _ in itertools.count())
    return write_clip(path, itertools.islice(pictures, round(minutes * 60 * RATE)))
