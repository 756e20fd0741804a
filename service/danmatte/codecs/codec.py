"""The base classes of codecs, which register each codec by media type or format when its class is defined."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import cv2
import numpy as np

from danmatte.errors import MediaTypeError, PictureError
from danmatte.frame import Bits, Pixels, Size

Colour: TypeAlias = Literal["RGB", "BGR"]

# Media types that don't name a format: defaults of clients such as curl, wildcards, and misnamed picture types.
UNNAMED = frozenset(
    {
        *("", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream", "*/*"),
        *("image/*", "image/jpg", "image/pjpeg", "image/x-png"),
    }
)
# Other formats that clients send, by their first bytes; they are named in the error message.
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
    b"data:": "a data: URL",
    b"iVBORw0KGgo": "PNG in base64",
    b"/9j/": "JPEG in base64",
}
_BOXED = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}  # ISO/IEC 23008-12
_OPENCV_FLAGS = {"RGB": cv2.IMREAD_COLOR_RGB, "BGR": cv2.IMREAD_COLOR}


@dataclass(frozen=True)
class PictureHeader:
    """The facts in a picture's header, read without decoding the picture.

    `size` is as stored; `orientation` is the EXIF orientation, 1 to 8. `warnings` describe errors in the bytes that
    didn't prevent reading; `decode` may add some.
    """

    size: Size
    orientation: int = 1
    warnings: list[str] = field(default_factory=list, compare=False)

    @property
    def upright(self) -> Size:
        """The size as shown."""
        return self.turn(self.size)

    def turn(self, size: Size) -> Size:
        """Return the stored size for a shown size, or the shown size for a stored one."""
        return Size(size.width, size.height) if self.orientation > 4 else size


class Decoder(ABC):
    """A decoder of a picture format.

    `needs_size` means that the bytes have no header with the format and the size, so the client has to state both.
    """

    media_type: ClassVar[str]
    needs_size: ClassVar[bool] = False
    registered: ClassVar[dict[str, "Decoder"]] = {}

    def __init_subclass__(cls) -> None:
        if "media_type" in vars(cls):  # abstract subclasses have none
            Decoder.registered[cls.media_type] = cls()

    @abstractmethod
    def claims(self, data: bytes) -> bool:
        """Return whether the bytes begin with this format's signature."""

    @abstractmethod
    def read_header(self, data: bytes, declared: Size | None) -> PictureHeader:
        """Return the picture's header, without decoding the picture; raises PictureError.

        `declared` is the size that the client stated, if any.
        """

    @abstractmethod
    def decode(self, data: bytes, header: PictureHeader, colour: Colour, at_least: Size) -> Pixels:
        """Return the picture as stored, (H, W, 3) uint8, at full size or an exact fraction of it, at least `at_least`.

        Raises PictureError, also for a truncated picture.
        """


class RawDecoder(Decoder):
    """A decoder of a format without a header; a subclass defines its name, its size in bytes, and how to decode it."""

    needs_size = True
    name: ClassVar[str]

    @abstractmethod
    def count_bytes(self, size: Size) -> int:
        """Return the number of bytes of a picture of this size; raises PictureError for an impossible size."""

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
    """An encoder of a mask format. `default` registers it first: it is used for clients that accept any format."""

    format: ClassVar[str]
    media_type: ClassVar[str]
    registered: ClassVar[dict[str, "Encoder"]] = {}

    def __init_subclass__(cls, *, default: bool = False) -> None:
        mine: dict[str, Encoder] = {cls.format: cls()}
        Encoder.registered = mine | Encoder.registered if default else Encoder.registered | mine

    @abstractmethod
    def encode(self, alpha: Pixels) -> bytes:
        """Return the (H, W) uint8 mask in this format; 255 is painted."""


def needs_size(media_type: str) -> bool:
    """Return whether a body of this type can only be decoded with a size stated by the client."""
    decoder = Decoder.registered.get(media_type)
    return decoder is not None and decoder.needs_size


def find_decoder(media_type: str, data: bytes) -> Decoder:
    """Return the decoder of a body: by its media type for formats without a header, otherwise by its first bytes.

    Raises MediaTypeError for a media type that isn't supported, or bytes of an unknown format.
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
    """Return the name of an unsupported format, or otherwise the first bytes."""
    if data[4:8] == b"ftyp":
        return _BOXED.get(data[8:12], "MP4")
    named = (kind for beginning, kind in _OTHERS.items() if data.startswith(beginning))
    return next(named, f"bytes {data[:8]!r}" if data else "none")


def decode_with_opencv(data: bytes, header: PictureHeader, colour: Colour, kind: str) -> Pixels:
    """Return the picture as stored, (H, W, 3); raises PictureError, also if it hasn't the header's size."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), _OPENCV_FLAGS[colour] | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise PictureError(f"{kind}: {error}") from error
    if pixels is None or pixels.shape[:2] != header.size:
        raise PictureError(f"{kind}: expected a whole picture of {header.size}, received a corrupt one")
    return pixels  # type: ignore[return-value]


def to_bits(alpha: Pixels) -> Bits:
    """Return which pixels, (H, W), are at least half painted."""
    return alpha >= 128
