"""The frames that a measurement posts: pictures of a folder, or the bundled one, in a given format and size."""

from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from danmatte.capacity.capacity import FrameKind
from danmatte.errors import InvalidParameterError
from danmatte.frame import Pixels

_MAX_PICTURES = 12  # of a folder; more would only take memory
_JPEG_QUALITY = 85
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def make_bodies(kind: FrameKind, folder: Path | None) -> list[bytes]:
    """Return the request bodies, one for each picture; raises InvalidParameterError if the folder has no pictures."""
    size = (kind.width, kind.height)
    resized = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in _read(folder))
    return [_encode(np.ascontiguousarray(picture), kind) for picture in resized]


def _read(folder: Path | None) -> list[Pixels]:
    if folder is None:
        bundled = files("danmatte").joinpath("web/comments-behind.jpg").read_bytes()
        return [cv2.imdecode(np.frombuffer(bundled, np.uint8), cv2.IMREAD_COLOR)]  # type: ignore[list-item]
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in _SUFFIXES and path.is_file())[
        :_MAX_PICTURES
    ]
    found = [picture for picture in map(_decode, paths) if picture is not None]
    if not found:
        raise InvalidParameterError(f"{folder}: expected JPEG, PNG or WebP pictures, found none")
    return found


def _decode(path: Path) -> Pixels | None:
    """Return the picture, or None if the file isn't one."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InvalidParameterError(f"{path}: expected a picture to read: {error.strerror}") from error
    return cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None  # type: ignore[return-value]


def _encode(picture: Pixels, kind: FrameKind) -> bytes:
    if kind.format == "rgb24":
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).tobytes()
    if kind.format == "nv12":  # rows of Y, then interleaved U and V at half the size
        height, width = picture.shape[0] // 2 * 2, picture.shape[1] // 2 * 2
        planes = cv2.cvtColor(picture[:height, :width], cv2.COLOR_BGR2YUV_I420).reshape(-1)
        chroma = planes[height * width :].reshape(2, -1)
        return planes[: height * width].tobytes() + np.ascontiguousarray(chroma.T).tobytes()
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if kind.format == "jpeg" else []
    return cv2.imencode(f".{kind.format.replace('jpeg', 'jpg')}", picture, quality)[1].tobytes()
