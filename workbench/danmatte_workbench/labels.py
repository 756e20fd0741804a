"""Labels of pictures: classes from folder names, and boxes from a file in COCO's format."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

UNCLASSIFIED = -1


class LabelledBox(NamedTuple):
    """A box around an object: its corners as shares of the picture's sides, and the number of its class."""

    left: float
    top: float
    right: float
    bottom: float
    class_number: int


def read_classes(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the class number of each picture, from the name of its folder.

    The number is the folder's line in ``classes.txt``, counted from 0. Without that file it is the folder's name
    itself, if the names of all folders are whole numbers; otherwise the result is empty.

    Raises InputError for a folder that isn't in the file, and for pictures that are in no folder.
    """
    folders = {name: Path(name).parent.as_posix() for name in names}
    if not path.exists():
        numbers = all(folder.isdecimal() for folder in folders.values())
        return {name: int(folder) for name, folder in folders.items()} if numbers else {}
    try:
        known = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read ({error})") from error
    for name, folder in folders.items():
        if folder not in known:
            hint = did_you_mean(folder, known, listed=False)
            raise InputError(f"{path}: expected the folder of {name} as one of its lines{hint}")
    return {name: known.index(folder) for name, folder in folders.items()}


class _Picture(msgspec.Struct):
    id: int
    file_name: str
    width: float
    height: float


class _Annotation(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]  # left, top, width, height, in pixels


class _Boxes(msgspec.Struct):
    images: list[_Picture]
    annotations: list[_Annotation]


def read_boxes(path: Path, names: Sequence[str]) -> dict[str, tuple[LabelledBox, ...]]:
    """Return the boxes of each picture, from a file in COCO's format (``images``, ``annotations``).

    Raises InputError for another format, for a picture that isn't in the file, and for a box without a picture.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Boxes)
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path}: expected images and annotations in COCO's format ({error})") from error
    pictures = {picture.id: picture for picture in found.images if picture.width > 0 and picture.height > 0}
    boxes: dict[str, list[LabelledBox]] = {picture.file_name: [] for picture in pictures.values()}
    for annotation in found.annotations:
        picture = pictures.get(annotation.image_id)
        if picture is None:
            raise InputError(f"{path}: a box has the image_id {annotation.image_id}, which isn't among the images")
        left, top, width, height = annotation.bbox
        across, down = picture.width, picture.height
        box = LabelledBox(
            left / across, top / down, (left + width) / across, (top + height) / down, annotation.category_id
        )
        boxes[picture.file_name].append(box)
    if without := [name for name in names if name not in boxes]:
        raise InputError(f"{path}: {len(without)} of {len(names)} pictures are missing in it, such as {without[0]}")
    return {name: tuple(boxes[name]) for name in names}
