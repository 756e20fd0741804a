"""Frames for calibration and comparison, from folders of pictures and from videos, with their kinds of scene."""

import csv
import hashlib
import math
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError
from danmatte_workbench.labels import UNCLASSIFIED, LabelledBox, read_boxes, read_classes

if TYPE_CHECKING:
    from av.container import InputContainer

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
VIDEOS = frozenset({".mp4", ".mkv", ".webm", ".mov", ".avi", ".ts", ".flv", ".m4v"})
BACKGROUND, IGNORE, PERSON = 0, 128, 255
SAMPLES = Path(__file__).parent / "samples"
KINDS_FILE, CLASSES_FILE, BOXES_FILE = "kinds.csv", "classes.txt", "boxes.json"
PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9-]*)_")
MAX_KINDS = 20  # with more different prefixes, they are probably numbers or names of people
MIN_PICTURES_PER_KIND = 3  # minimum average number of pictures per prefix for prefixes to be kinds
SCENE_FRAMES = 12  # consecutive frames of a clip that form a scene, because they look alike
CALIBRATION_SHARE = 1 / 3  # maximum share of a kind's frames for calibration; the others are for comparison


@dataclass(frozen=True)
class LabelledFrame:
    """A frame, (H, W, 3) uint8 RGB, and its mask, (H, W) uint8 of 0, 128 = ignored and 255, or None without one.

    class_number: the class of the whole picture, from its folder. boxes: the objects in it, from a file next to it.
    """

    name: str
    pixels: np.ndarray
    truth: np.ndarray | None
    class_number: int = UNCLASSIFIED
    boxes: tuple[LabelledBox, ...] | None = None


@dataclass(frozen=True)
class FrameFile:
    """Where a frame is stored: the folder or video, and which picture or frame of it.

    name: unique in the dataset. kind: of scene; empty if unknown. scene: frames of one scene count as near-duplicates.
    """

    name: str
    origin: Path
    place: str
    labelled: bool
    kind: str = ""
    scene: str = ""
    class_number: int = UNCLASSIFIED
    boxes: tuple[LabelledBox, ...] | None = None

    @property
    def address(self) -> str:
        """The absolute path of the picture; for a video's frame, the video's path and the frame's number."""
        return os.path.abspath(_find_images(self.origin) / self.place)  # noqa: PTH100 - resolve() would rename links


@dataclass(frozen=True)
class Dataset:
    """Frames by name, read on demand."""

    files: tuple[FrameFile, ...]

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[LabelledFrame]:
        for origin, files in groupby(self.files, key=lambda file: file.origin):
            if origin.is_dir():
                yield from (_read_frame(file) for file in files)
                continue
            wanted = {int(file.place): file.name for file in files}
            with _open_video(origin) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    if number in wanted:
                        yield LabelledFrame(wanted[number], frame.to_ndarray(format="rgb24"), None)
                    if number >= max(wanted):
                        break

    @property
    def names(self) -> tuple[str, ...]:
        """The frames' names, in the order of iteration."""
        return tuple(file.name for file in self.files)

    @property
    def labelled(self) -> bool:
        """Whether the frames have masks; either all have, or none."""
        return bool(self.files) and self.files[0].labelled

    @property
    def classified(self) -> bool:
        """Whether every frame has a class number."""
        return bool(self.files) and all(file.class_number != UNCLASSIFIED for file in self.files)

    @property
    def boxed(self) -> bool:
        """Whether the boxes of every frame are known."""
        return bool(self.files) and all(file.boxes is not None for file in self.files)

    @property
    def origins(self) -> tuple[Path, ...]:
        """The folders and videos that the frames come from."""
        return tuple(dict.fromkeys(file.origin for file in self.files))

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of scene of each frame, by name; frames of unknown kind are left out."""
        return {file.name: file.kind for file in self.files if file.kind}

    @property
    def scenes(self) -> dict[str, str]:
        """The scene of each frame, by name; frames of one scene look alike."""
        return {file.name: file.scene for file in self.files}

    def compute_digest(self, *, masks: bool = False) -> str:
        """Return the sha256 over the frames' names and pixels, and over their masks if ``masks`` is set."""
        total = hashlib.sha256()
        for sample in self:
            total.update(f"{sample.name} {sample.pixels.shape}".encode())
            total.update(sample.pixels.tobytes())
            total.update(b"mask" + sample.truth.tobytes() if masks and sample.truth is not None else b"")
        return total.hexdigest()

    def check(self) -> None:
        """Raise InputError if files aren't pictures. Broken contents are found only when a picture is read."""
        odd = [file.address for file in self.files if file.origin.is_dir() and not cv2.haveImageReader(file.address)]
        if odd:
            count = f" ({len(odd)} of {len(self)} files aren't)" if len(odd) > 1 else ""
            raise InputError(f"{odd[0]}: isn't a picture that can be read{count}")

    def find_shared(self, other: "Dataset") -> list[str]:
        """Return the names of frames that the other dataset also has, from the same files."""
        known = {file.address for file in other.files}
        return [file.name for file in self.files if file.address in known]

    def keep(self, names: Collection[str]) -> "Dataset":
        """Return the frames with these names, in their order here."""
        wanted = frozenset(names)
        return Dataset(tuple(file for file in self.files if file.name in wanted))

    def sort_into(self, kinds: Mapping[str, str]) -> "Dataset":
        """Return the same frames with the given kinds, by name."""
        return Dataset(tuple(replace(file, kind=kinds.get(file.name, file.kind)) for file in self.files))

    def pick(self, limit: int) -> "Dataset":
        """Return at most ``limit`` frames, spread evenly over the kinds.

        The choice is deterministic and doesn't depend on the order in the folder. A smaller choice is part of a larger
        one.
        """
        return self.keep(self._draw(limit, lambda file: file.name))

    def split(self, calibration: int) -> tuple["Dataset", "Dataset"]:
        """Return frames for calibration, at most a third of each kind, and the other frames for comparison.

        With one or two frames, both parts contain all of them.
        """
        first = self._draw(calibration, lambda file: file.scene, share=CALIBRATION_SHARE)
        if not first:
            return self, self
        return self.keep(first), self.keep([name for name in self.names if name not in first])

    def divide(self, every: int) -> tuple["Dataset", "Dataset"]:
        """Return every ``every``-th scene of each kind, and all other frames. The choice is deterministic.

        Kinds with fewer scenes are divided together; otherwise all of their frames would be in the first part.
        """
        first: set[str] = set()
        for files in self._group_by_kind(every, lambda file: file.scene):
            scenes = {file.scene: zlib.crc32(f"divide {file.scene}".encode()) for file in files}
            chosen = sorted(scenes, key=lambda scene: (scenes[scene], scene))[::every]
            first |= {file.name for file in files if file.scene in set(chosen)}
        return self.keep(first), self.keep([name for name in self.names if name not in first])

    def _draw(self, limit: int, key: Callable[[FrameFile], str], share: float = 1.0) -> frozenset[str]:
        """Return the names of at most ``limit`` frames, in turn from each kind, and at most ``share`` of each kind.

        Kinds that are too small for that share are combined.
        """
        ranked = []
        for files in self._group_by_kind(math.ceil(1 / share), lambda file: file.name):
            mixed = sorted(files, key=lambda file: (zlib.crc32(key(file).encode()), file.name))
            most = int(len(mixed) * share)
            ranked += [(rank, zlib.crc32(file.name.encode()), file.name) for rank, file in enumerate(mixed[:most])]
        return frozenset(name for *_, name in sorted(ranked)[:limit])

    def _group_by_kind(self, least: int, key: Callable[[FrameFile], str]) -> list[list[FrameFile]]:
        """Return the files of each kind, and last one group of all kinds with fewer than ``least`` different keys."""
        groups: dict[str, list[FrameFile]] = {}
        for file in self.files:
            groups.setdefault(file.kind, []).append(file)
        small = {kind for kind, files in groups.items() if len(set(map(key, files))) < least}
        together = [file for file in self.files if file.kind in small]
        return [*(files for kind, files in groups.items() if kind not in small), *([together] if together else [])]


def load(*paths: Path) -> Dataset:
    """Return the frames at the paths: folders with ``images/`` and ``masks/``, folders of pictures, or videos.

    Masks are 8-bit grey PNGs with the sizes and names of their pictures. The kind of scene comes from ``kinds.csv``
    (``picture,kind``), from the subfolder, or from the prefix of a picture's name (``kind_…``). If several folders
    don't give kinds, each folder is one. Raises InputError for anything else, and if only some of the data has masks.
    """
    listed = [_list_folder(path) if path.is_dir() else _list_video(path) for path in paths]
    bare = [file.origin for part in listed for file in part if not file.labelled]
    if bare and any(file.labelled for part in listed for file in part):
        raise InputError(f"{bare[0]}: has no masks, but other data has: expected masks for all data or for none")
    if len(paths) == 1:
        return Dataset(tuple(_tell_kinds(listed[0], [""] * len(listed[0]))))
    files, owners = [], []
    for label, part in zip(name_apart(paths), listed, strict=True):
        files += [replace(file, name=f"{label}/{file.name}", scene=f"{label}/{file.scene}") for file in part]
        owners += [label] * len(part)
    return Dataset(tuple(_tell_kinds(files, owners)))


def name_apart(paths: Sequence[Path]) -> list[str]:
    """Return a short label for each path: as many of its last parts as make all labels different.

    Raises InputError for a path that is given twice.
    """
    whole = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would rename links
    lengths = range(1, max(len(path.parts) for path in whole) + 1)
    labels = (["/".join(path.parts[-length:]) for path in whole] for length in lengths)
    apart = next((names for names in labels if len(set(names)) == len(names)), None)
    if apart is None:
        raise InputError(f"{Counter(whole).most_common(1)[0][0]}: is given twice")
    return apart


def _tell_kinds(files: Sequence[FrameFile], owners: Sequence[str]) -> list[FrameFile]:
    """Add kinds to files without one: their prefix if prefixes differ, otherwise their owner."""
    prefixes = [found[1] if (found := PREFIX.match(Path(file.place).name)) else "" for file in files]
    silent = [(owner, prefix) for file, owner, prefix in zip(files, owners, prefixes, strict=True) if not file.kind]
    # If only some names in a folder have a prefix, the prefixes aren't kinds.
    mute = {owner for owner, prefix in silent if not prefix}
    counts = Counter(prefix for owner, prefix in silent if owner not in mute)
    telling = 2 <= len(counts) <= MAX_KINDS and counts.total() >= MIN_PICTURES_PER_KIND * len(counts)
    return [
        replace(file, kind=file.kind or (prefix if telling and owner not in mute else owner))
        for file, owner, prefix in zip(files, owners, prefixes, strict=True)
    ]


def _list_video(path: Path) -> list[FrameFile]:
    if not path.exists():
        raise InputError(f"{path}: no such folder or video")
    if path.suffix.lower() not in VIDEOS:
        raise InputError(f"{path}: expected a folder of pictures or a video ({', '.join(sorted(VIDEOS))})")
    count = _count_frames(path)
    if not count:
        raise InputError(f"{path}: isn't a video that can be read (it has no frames)")
    return [
        FrameFile(str(number), path, str(number), labelled=False, scene=str(number // SCENE_FRAMES))
        for number in range(count)
    ]


def _count_frames(path: Path) -> int:
    """Return the number of frames that can be decoded.

    That is the number of packets, unless corrupt, discarded or leading non-key packets make it necessary to decode.
    """
    count, doubtful = 0, False
    with _open_video(path) as container:
        for packet in container.demux(video=0):
            if packet.size:
                # At its start or after a gap, a recording may contain packets that depend on missing frames.
                doubtful = doubtful or packet.is_corrupt or packet.is_discard or not (count or packet.is_keyframe)
                count += 1
    if not doubtful:
        return count
    with _open_video(path) as container:
        return sum(1 for _ in container.decode(video=0))


def _list_folder(path: Path) -> list[FrameFile]:
    images, masks = _find_images(path), path / "masks"
    found = (file for pattern in ("*", "*/*") for file in images.glob(pattern) if file.suffix.lower() in PICTURES)
    # Hidden files are metadata of other programs, such as macOS's ._name.jpg.
    visible = (file for file in found if not any(part.startswith(".") for part in file.relative_to(images).parts))
    names = sorted(file.relative_to(images).as_posix() for file in visible if file.parent != masks)
    if not names:
        raise InputError(f"{images}: expected pictures ({', '.join(sorted(PICTURES))}), found none")
    if masks.is_dir() and (without := [name for name in names if not _locate_mask(path, name).exists()]):
        raise InputError(f"{masks}: {len(without)} of {len(names)} pictures have no mask, such as {without[0]}")
    listed = _read_kinds(path / KINDS_FILE, names) if (path / KINDS_FILE).exists() else {}
    boxes = read_boxes(path / BOXES_FILE, names) if (path / BOXES_FILE).exists() else {}
    classes = {} if masks.is_dir() else read_classes(path / CLASSES_FILE, names)
    # Numbered pictures are assumed to be consecutive frames of a clip, in which neighbours look alike.
    is_clip = all(Path(name).stem.isdecimal() for name in names)
    files = []
    for number, name in enumerate(names):
        # Folders that are classes aren't kinds of scene, because measurements are meant for an even mix of classes.
        kind = listed.get(name) or ("" if classes else Path(name).parent.as_posix().removeprefix("."))
        scene = f"{Path(name).parent}/{number // SCENE_FRAMES}" if is_clip else name
        number_of_class = classes.get(name, UNCLASSIFIED)
        files.append(FrameFile(name, path, name, masks.is_dir(), kind, scene, number_of_class, boxes.get(name)))
    return files


def _read_kinds(path: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the kind of each picture. Raises InputError for a picture without a kind, and for an unknown picture."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: can't be read ({error})") from error
    if not rows or not {"picture", "kind"} <= set(rows[0]):
        raise InputError(f"{path}: expected the columns picture,kind and a row for each picture")
    kinds = {str(row["picture"]).strip(): str(row["kind"] or "").strip() for row in rows}
    for name in kinds:
        if name not in names:
            raise InputError(f"{path}: there is no picture {name}{did_you_mean(name, names, listed=False)}")
    if without := [name for name in names if not kinds.get(name)]:
        raise InputError(f"{path}: {len(without)} of {len(names)} pictures have no kind, such as {without[0]}")
    return kinds


def _find_images(origin: Path) -> Path:
    return origin / "images" if (origin / "images").is_dir() else origin


def _locate_mask(origin: Path, place: str) -> Path:
    return origin / "masks" / f"{place.removesuffix(Path(place).suffix)}.png"


def _read_frame(file: FrameFile) -> LabelledFrame:
    pixels = read_rgb(_find_images(file.origin) / file.place)
    if not file.labelled:
        return LabelledFrame(file.name, pixels, None, file.class_number, file.boxes)
    path = _locate_mask(file.origin, file.place)
    truth = read_grey(path)
    if truth.shape != pixels.shape[:2]:
        raise InputError(f"{path}: expected the picture's size {_format_size(pixels)}, found {_format_size(truth)}")
    if set(np.unique(truth)) - {BACKGROUND, IGNORE, PERSON}:
        odd = sorted({int(value) for value in np.unique(truth)} - {BACKGROUND, IGNORE, PERSON})
        raise InputError(f"{path}: expected the values 0, 128 (ignored) and 255 (person), found {odd[:5]}")
    return LabelledFrame(file.name, pixels, truth)


def read_rgb(path: Path) -> np.ndarray:
    """Return the picture as (H, W, 3) uint8 RGB. Raises InputError if it can't be read."""
    return _read(path, cv2.IMREAD_COLOR_RGB)


def read_grey(path: Path) -> np.ndarray:
    """Return the picture as (H, W) uint8. Raises InputError if it can't be read."""
    return _read(path, cv2.IMREAD_GRAYSCALE)


def _read(path: Path, mode: int) -> np.ndarray:
    pixels = cv2.imread(str(path), mode)
    if pixels is None:
        raise InputError(f"{path}: isn't a picture that can be read")
    return pixels


def _format_size(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]}×{pixels.shape[0]}"


@contextmanager
def _open_video(path: Path) -> "Iterator[InputContainer]":
    import av

    try:
        with av.open(str(path)) as container:
            yield container
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: isn't a video that can be read ({error})") from error
