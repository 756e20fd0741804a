"""What a codec is: registered by its media type or format as soon as its class is defined."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import cv2
import numpy as np

from danmatte.errors import MediaTypeError, PictureError
from danmatte.frame import Bits, Pixels, Size

Colour: TypeAlias = Literal["RGB", "BGR"]

# What clients send when nobody chose a type, curl's default among them, or when they mean a picture by another name.
UNNAMED = frozenset(
    {
        *("", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream", "*/*"),
        *("image/*", "image/jpg", "image/pjpeg", "image/x-png"),
    }
)
# What else clients send, by its beginning, so that they are told what it is.
_OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"%PDF": "PDF",
    b"<svg": "SVG",
    b"data:": "an address of data in base64",
    b"iVBORw0KGgo": "PNG in base64",
    b"/9j/": "JPEG in base64",
}
_BOXED = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}  # ISO/IEC 23008-12
_OPENCV_FLAGS = {"RGB": cv2.IMREAD_COLOR_RGB, "BGR": cv2.IMREAD_COLOR}


@dataclass(frozen=True)
class PictureHeader:
    """What a picture says about itself before anything is decoded.

    `size` is as stored; `orientation` is the EXIF one, 1 to 8. `warnings` say what was wrong with bytes that could be
    read all the same, also those that `decode` adds.
    """

    size: Size
    orientation: int = 1
    warnings: list[str] = field(default_factory=list, compare=False)

    @property
    def upright(self) -> Size:
        """The size as shown."""
        return self.turn(self.size)

    def turn(self, size: Size) -> Size:
        """A size as stored from one as shown, and the other way round."""
        return Size(size.width, size.height) if self.orientation > 4 else size


class Decoder(ABC):
    """Frames from bytes.

    `needs_size` says that the bytes don't tell the picture's size nor their own format: the sender names both.
    """

    media_type: ClassVar[str]
    needs_size: ClassVar[bool] = False
    registered: ClassVar[dict[str, "Decoder"]] = {}

    def __init_subclass__(cls) -> None:
        if "media_type" in vars(cls):  # a class between this one and the formats has none
            Decoder.registered[cls.media_type] = cls()

    @abstractmethod
    def claims(self, data: bytes) -> bool:
        """Whether the bytes begin like this format."""

    @abstractmethod
    def read_header(self, data: bytes, declared: Size | None) -> PictureHeader:
        """The picture's header, at little cost. `declared` is the size that the sender named, if any.

        Raises PictureError.
        """

    @abstractmethod
    def decode(self, data: bytes, header: PictureHeader, colour: Colour, at_least: Size) -> Pixels:
        """The picture as stored, (H, W, 3) uint8, whole or reduced to an exact fraction not below `at_least`.

        Raises PictureError: a truncated picture is never answered in part.
        """


class RawDecoder(Decoder):
    """Pixels without any header; a format says what it is called, how many bytes a picture has, and how to read it."""

    needs_size = True
    name: ClassVar[str]

    @abstractmethod
    def count_bytes(self, size: Size) -> int:
        """How many bytes a picture of this size has; raises PictureError when there is none of this size."""

    def claims(self, data: bytes) -> bool:
        return False

    def read_header(self, data: bytes, declared: Size | None) -> PictureHeader:
        if declared is None:
            raise PictureError(f"{self.name}: expected width and height in the query")
        expected = self.count_bytes(declared)
        if len(data) != expected:
            raise PictureError(f"{self.name}: expected {expected} bytes for {declared}, received {len(data)}")
        return PictureHeader(declared)


class Encoder(ABC):
    """Bytes from masks. `default` puts a format first: it is sent to whoever takes anything."""

    format: ClassVar[str]
    media_type: ClassVar[str]
    registered: ClassVar[dict[str, "Encoder"]] = {}

    def __init_subclass__(cls, *, default: bool = False) -> None:
        mine: dict[str, Encoder] = {cls.format: cls()}
        Encoder.registered = mine | Encoder.registered if default else Encoder.registered | mine

    @abstractmethod
    def encode(self, alpha: Pixels) -> bytes:
        """The (H, W) uint8 mask in this format; 255 is painted."""


def needs_size(media_type: str) -> bool:
    """Whether a body of this type can only be read with a size that its sender names."""
    decoder = Decoder.registered.get(media_type)
    return decoder is not None and decoder.needs_size


def find_decoder(media_type: str, data: bytes) -> Decoder:
    """The decoder of a body: the one named, where it needs to be; otherwise the one whose magic the bytes carry.

    Raises MediaTypeError when the named type isn't served, or the bytes are of no known type.
    """
    known, named = ", ".join(Decoder.registered), Decoder.registered.get(media_type)
    if named is None and media_type not in UNNAMED:
        raise MediaTypeError(f"Content-Type: expected one of {known}, received {media_type!r}")
    if named is not None and named.needs_size:
        return named
    for decoder in Decoder.registered.values():
        if decoder.claims(data):
            return decoder
    raise MediaTypeError(f"body: expected a picture of type {known}, received {name_kind(data)}")


def name_kind(data: bytes) -> str:
    """What bytes that aren't served are, or how they begin."""
    if data[4:8] == b"ftyp":
        return _BOXED.get(data[8:12], "MP4")
    named = (kind for beginning, kind in _OTHERS.items() if data.startswith(beginning))
    return next(named, f"bytes {data[:8]!r}" if data else "none")


def decode_with_opencv(data: bytes, header: PictureHeader, colour: Colour, kind: str) -> Pixels:
    """The picture as stored, (H, W, 3), at the size that its header claims; raises PictureError."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _OPENCV_FLAGS[colour] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError(f"{kind}: {error}") from error
    if pixels is None or pixels.shape[:2] != header.size:
        raise PictureError(f"{kind}: expected a whole picture of {header.size}, received a corrupt one")
    return pixels  # type: ignore[return-value]


def to_bits(alpha: Pixels) -> Bits:
    """The (H, W) pixels that are at least half painted."""
    return alpha >= 128
