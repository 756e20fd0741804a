"""Frames to calibrate on and to compare on: pictures with masks, pictures alone, or a video."""

import hashlib
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from av.container import InputContainer

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
VIDEOS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".flv", ".m4v"})
BACKGROUND, IGNORE, PERSON = 0, 128, 255
SAMPLES = Path(__file__).parent / "samples"


@dataclass(frozen=True)
class LabelledFrame:
    """A frame, (H, W, 3) uint8 RGB, and its mask, (H, W) uint8 of 0, 128 = ignored and 255, where there is one."""

    name: str
    pixels: np.ndarray
    truth: np.ndarray | None


@dataclass(frozen=True)
class Dataset:
    """Frames by name, read when they are asked for. ``origin`` is what the user gave."""

    origin: Path
    names: tuple[str, ...]
    labelled: bool

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[LabelledFrame]:
        if self.origin.is_dir():
            yield from (_read_frame(self.origin, name, self.labelled) for name in self.names)
        else:
            yield from _decode_frames(self.origin, frozenset(int(name) for name in self.names))

    def compute_digest(self) -> str:
        """sha256 over the frames' names and pixels."""
        total = hashlib.sha256()
        for sample in self:
            total.update(f"{sample.name} {sample.pixels.shape}".encode())
            total.update(sample.pixels.tobytes())
        return total.hexdigest()

    def pick(self, limit: int) -> "Dataset":
        """At most ``limit`` frames, the same ones each time, without regard to their order in the folder."""
        mixed = sorted(self.names, key=lambda name: zlib.crc32(name.encode()))[:limit]
        return Dataset(self.origin, tuple(name for name in self.names if name in set(mixed)), self.labelled)

    def split(self, calibration: int) -> tuple["Dataset", "Dataset"]:
        """Frames to calibrate on and the others to compare on; a handful serves as both."""
        if len(self) < 2 * calibration:
            return self, self
        first = self.pick(calibration)
        rest = tuple(name for name in self.names if name not in set(first.names))
        return first, Dataset(self.origin, rest, self.labelled)


def load(path: Path) -> Dataset:
    """The dataset at ``path``: a folder with ``images/`` and ``masks/``, a folder of pictures, or a video.

    Masks are 8-bit grey PNGs of their pictures' sizes and names. Raises InputError for anything else.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: no such folder or video")
        if path.suffix.lower() not in VIDEOS:
            raise InputError(f"{path}: expected a folder of pictures or a video ({', '.join(sorted(VIDEOS))})")
        with _open_video(path) as container:
            count = sum(1 for packet in container.demux(video=0) if packet.size)  # without decoding them
        if not count:
            raise InputError(f"{path}: isn't a video that can be read (it has no frames)")
        return Dataset(path, tuple(map(str, range(count))), labelled=False)
    images, masks = path / "images" if (path / "images").is_dir() else path, path / "masks"
    names = sorted(file.name for file in images.iterdir() if file.suffix.lower() in PICTURES)
    if not names:
        raise InputError(f"{images}: expected pictures ({', '.join(sorted(PICTURES))}), found none")
    if masks.is_dir() and (without := [name for name in names if not _locate_mask(path, name).exists()]):
        raise InputError(f"{masks}: {len(without)} of {len(names)} pictures have no mask, such as {without[0]}")
    return Dataset(path, tuple(names), labelled=masks.is_dir())


def _locate_mask(origin: Path, name: str) -> Path:
    return origin / "masks" / f"{Path(name).stem}.png"


def _read_frame(origin: Path, name: str, labelled: bool) -> LabelledFrame:
    images = origin / "images" if (origin / "images").is_dir() else origin
    pixels = read_rgb(images / name)
    if not labelled:
        return LabelledFrame(name, pixels, None)
    path = _locate_mask(origin, name)
    truth = read_grey(path)
    if truth.shape != pixels.shape[:2]:
        raise InputError(f"{path}: expected the picture's size {_format_size(pixels)}, found {_format_size(truth)}")
    if set(np.unique(truth)) - {BACKGROUND, IGNORE, PERSON}:
        odd = sorted({int(value) for value in np.unique(truth)} - {BACKGROUND, IGNORE, PERSON})
        raise InputError(f"{path}: expected the values 0, 128 (ignored) and 255 (person), found {odd[:5]}")
    return LabelledFrame(name, pixels, truth)


def read_rgb(path: Path) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB. Raises InputError when there is none."""
    return _read(path, cv2.IMREAD_COLOR_RGB)


def read_grey(path: Path) -> np.ndarray:
    """The picture as (H, W) uint8. Raises InputError when there is none."""
    return _read(path, cv2.IMREAD_GRAYSCALE)


def _read(path: Path, mode: int) -> np.ndarray:
    pixels = cv2.imread(str(path), mode)
    if pixels is None:
        raise InputError(f"{path}: isn't a picture that can be read")
    return pixels


def _format_size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"


def _decode_frames(path: Path, wanted: frozenset[int]) -> Iterator[LabelledFrame]:
    with _open_video(path) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield LabelledFrame(str(number), frame.to_ndarray(format="rgb24"), None)
            if number >= max(wanted):
                return


@contextmanager
def _open_video(path: Path) -> "Iterator[InputContainer]":
    import av

    try:
        with av.open(str(path)) as container:
            yield container
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: isn't a video that can be read ({error})") from error
