"""What a codec is: registered by its media type as soon as it is defined."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from danmatte.frame import Pixels, Size

Colour: TypeAlias = Literal["RGB", "BGR"]


@dataclass(frozen=True)
class Header:
    """What a picture says about itself before anything is decoded.

    `size` is as stored; `orientation` is the EXIF one, 1 to 8.
    """

    size: Size
    orientation: int = 1

    @property
    def upright(self) -> Size:
        """The size as shown; its own inverse."""
        return self.turned(self.size)

    def turned(self, size: Size) -> Size:
        """A size as stored from one as shown, and the other way round."""
        return Size(size.width, size.height) if self.orientation > 4 else size


class Decoder(ABC):
    """Frames from bytes. A new one is a new file, and a line in the folder's `__init__`."""

    media_type: ClassVar[str]
    registered: ClassVar[dict[str, "Decoder"]] = {}

    def __init_subclass__(cls) -> None:
        Decoder.registered[cls.media_type] = cls()

    @abstractmethod
    def claims(self, data: bytes) -> bool:
        """Whether the bytes begin like this kind."""

    @abstractmethod
    def header(self, data: bytes, declared: Size | None) -> Header:
        """The picture's header. `declared` is the size a raw picture needs, ignored by the others.

        Raises PictureError.
        """

    @abstractmethod
    def pixels(self, data: bytes, header: Header, colour: Colour, at_least: Size) -> Pixels:
        """The picture as stored, (H, W, 3) uint8, whole or at an exact fraction not below `at_least`.

        Raises PictureError: a truncated picture is never answered in part.
        """


class Encoder(ABC):
    """Bytes from masks. A new one is a new file, and a line in the folder's `__init__`.

    `default` puts it first: it is sent to whoever takes anything.
    """

    format: ClassVar[str]
    media_type: ClassVar[str]
    registered: ClassVar[dict[str, "Encoder"]] = {}

    def __init_subclass__(cls, *, default: bool = False) -> None:
        mine: dict[str, Encoder] = {cls.format: cls()}
        Encoder.registered = mine | Encoder.registered if default else Encoder.registered | mine

    @abstractmethod
    def encode(self, alpha: Pixels) -> bytes:
        """The (H, W) uint8 mask in this format."""
