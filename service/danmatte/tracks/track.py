"""The parts of a mask track, and the base class of formats, which registers each subclass by its suffix."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
from msgspec import Meta, Struct

from danmatte.errors import TrackError
from danmatte.frame import Bits, Size, TurnStep

Polarity: TypeAlias = Literal["person", "background"]

SEGMENT_MS = 10_000
LAST_MS = 1000  # how long the last mask is shown
MAX_PIXELS = 2**22
MAX_PTS_MS = 2**53 - 1  # the largest integer that JavaScript represents exactly
MAX_SEGMENTS = 2**16
MAX_SECTIONS = 2000  # of a playlist, so that the film's facts fit into 65,535 bytes
MAX_SEGMENT_BYTES = 2**24  # inflated
MAX_SEGMENT_ENTRIES = 4096


class Film(Struct, frozen=True, omit_defaults=True):
    """The film that a track belongs to; a player uses it to refuse another film's track and to align its clock.

    `sha256` is the file's digest in hexadecimal. `width` and `height` are of the picture as it is shown, in square
    pixels; `pixel_ratio` is the sample aspect ratio of the stored pixels.

    Times in milliseconds are on the track's clock. `first_ms` is the first shown frame's time, `coded_ms` that of the
    first stored frame, which an edit list may skip, and `origin_ms` is where Firefox's clock is 0. `end_ms` is the end
    of the pictures; `file_end_ms` is the end of the file if its sound is longer.

    A playlist has `sections`: each section's start, and the stream's own time there. `scripted_ms` is when players
    that join HLS segments by script show the first frame; `date_ms` is when that was recorded, in ms since 1970.

    `orientation` lists what has to be done to the stored picture, because not every player mirrors pictures.
    """

    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    clock: Literal["media", "file"]
    width: Annotated[int, Meta(ge=1, le=2**16)]
    height: Annotated[int, Meta(ge=1, le=2**16)]
    pixel_ratio: tuple[Annotated[int, Meta(ge=1, le=2**31)], Annotated[int, Meta(ge=1, le=2**31)]]
    first_ms: Annotated[int, Meta(ge=0, le=MAX_PTS_MS)]
    end_ms: Annotated[int, Meta(ge=0, le=MAX_PTS_MS)]
    coded_ms: Annotated[int, Meta(ge=-MAX_PTS_MS, le=MAX_PTS_MS)]
    origin_ms: Annotated[int, Meta(ge=-MAX_PTS_MS, le=MAX_PTS_MS)]
    sections: Annotated[tuple[tuple[int, int], ...], Meta(max_length=MAX_SECTIONS)] = ()
    scripted_ms: Annotated[int, Meta(ge=-MAX_PTS_MS, le=MAX_PTS_MS)] | None = None
    date_ms: Annotated[int, Meta(ge=0, le=MAX_PTS_MS)] | None = None
    orientation: Annotated[tuple[TurnStep, ...], Meta(max_length=3)] = ()
    file_end_ms: Annotated[int, Meta(ge=0, le=MAX_PTS_MS)] | None = None


@dataclass(frozen=True)
class TrackHeader:
    """The properties shared by all masks of a track.

    `polarity` says what the file paints; masks in memory always paint the person. If the file doesn't state them,
    `model` is empty, `version` is 0 and `film` is None.
    """

    size: Size
    polarity: Polarity
    model: str = ""
    version: int = 0
    film: Film | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 1 or max(self.size) >= 2**16 or self.size.pixels > MAX_PIXELS:
            raise TrackError(f"size: expected 1 to {MAX_PIXELS} pixels, received {self.size}")
        if self.polarity not in ("person", "background"):
            raise TrackError(f"polarity: expected person or background, received {self.polarity!r}")
        if len(self.model.encode()) > 255:
            raise TrackError(f"model: expected at most 255 bytes, received {len(self.model.encode())}")
        if not 0 <= self.version < 2**32:
            raise TrackError(f"version: expected 0 to {2**32 - 1}, received {self.version}")


@dataclass(frozen=True, eq=False)
class Entry:
    """One mask of a track, shown from `pts_ms` until the next entry.

    `mask` is (H, W) bool, true where a person is; it must not be modified afterwards. `keyframe`: the network ran on
    this frame. `cut`: the frame begins a scene. `held`: the mask of the previous frame was reused. `coverage` is the
    person's share of the frame, 0 to 1.
    """

    pts_ms: int
    mask: Bits = field(repr=False)
    keyframe: bool = False
    cut: bool = False
    held: bool = False
    coverage: float = 0.0

    def __post_init__(self) -> None:
        if self.mask.dtype != np.bool_ or self.mask.ndim != 2:
            raise ValueError(f"mask: expected (H, W) bool, received {self.mask.shape} {self.mask.dtype}")
        if not 0 <= self.pts_ms <= MAX_PTS_MS:
            raise TrackError(f"pts: expected 0 to {MAX_PTS_MS} ms, received {self.pts_ms}")
        if not 0 <= self.coverage <= 1:
            raise ValueError(f"coverage: expected 0 to 1, received {self.coverage}")


@dataclass(frozen=True)
class Segment:
    """The position of a segment, some seconds of masks, in a file; `start_ms` is its first mask's own pts."""

    start_ms: int
    offset: int
    length: int


class Recorder(Protocol):
    """An encoder of one segment's entries, called in order."""

    def record(self, entry: Entry, until_ms: int) -> bytes:
        """Return the entry, which is shown until `until_ms`, as bytes of the inflated segment."""


class Format(ABC):
    """A file format of tracks: a head with the index, then segments, each compressed separately.

    `magic` is the file's first four bytes. `window_bits` and `strategy` are zlib's: 15 is a zlib stream, 31 a gzip
    member, and None leaves segments uncompressed; Z_FILTERED compresses data with few repeats slightly better.
    `polarity` is the default for new tracks. The subclass argument `default` puts a format first, which makes it the
    one for tracks without a known suffix. Methods that read raise TrackError for any invalid input.
    """

    suffix: ClassVar[str]
    magic: ClassVar[bytes]
    window_bits: ClassVar[int | None]
    strategy: ClassVar[int] = zlib.Z_DEFAULT_STRATEGY
    polarity: ClassVar[Polarity] = "person"
    registered: ClassVar[dict[str, "Format"]] = {}

    def __init_subclass__(cls, *, default: bool = False) -> None:
        mine: dict[str, Format] = {cls.suffix: cls()}
        Format.registered = mine | Format.registered if default else Format.registered | mine

    @abstractmethod
    def format_head(self, header: TrackHeader, segments: Sequence[tuple[int, int]]) -> bytes:
        """Return everything before the first segment, from every segment's start in ms and length in bytes."""

    @abstractmethod
    def make_recorder(self, header: TrackHeader) -> Recorder:
        """Return the encoder for one segment."""

    @abstractmethod
    def read_index(self, file: BinaryIO, file_bytes: int) -> tuple[TrackHeader, tuple[Segment, ...]]:
        """Read header and index from the start of a file that is `file_bytes` long."""

    @abstractmethod
    def read_entries(self, header: TrackHeader, start_ms: int, data: bytes) -> Iterator[Entry]:
        """Yield the entries of an inflated segment."""


def find_format(path: Path) -> Format:
    """Return the format for a path's suffix; raises TrackError."""
    if path.suffix not in Format.registered:
        raise TrackError(f"{path}: expected a name ending in {', '.join(Format.registered)}")
    return Format.registered[path.suffix]
