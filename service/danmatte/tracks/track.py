"""The parts of a mask track, and what a format is: registered by suffix as soon as its class is defined."""

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
MAX_PTS_MS = 2**53 - 1  # what JavaScript counts exactly
MAX_SEGMENTS = 2**16
MAX_SECTIONS = 2000  # of a playlist; their facts fit into 65,535 bytes
MAX_SEGMENT_BYTES = 2**24  # inflated
MAX_SEGMENT_ENTRIES = 4096


class Film(Struct, frozen=True, omit_defaults=True):
    """The film that a track is for, so that a player can refuse another one, and find its clock.

    `sha256` is the file's digest in hexadecimal. `width` and `height` are of the picture as it is shown, in square
    pixels, and `pixel_ratio` the sample aspect ratio of the stored ones. Milliseconds are on the track's clock: the
    first frame's, the end, the first stored frame's, which an edit list may leave out, and where Firefox's clock
    is 0.

    `end_ms` is that of the pictures, `file_end_ms` that of the file where its sound goes on for longer.

    A playlist has `sections`: of each the start, and the stream's own time there; in players that join HLS segments by
    script the first frame is shown at `scripted_ms`, and `date_ms` is when it was recorded, in ms since 1970.

    `orientation` says what a player does to the stored picture, for those that don't mirror.
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
    """What holds for every mask of a track.

    `polarity` says what the file paints; masks in memory always paint the person. `model` is empty, `version` 0 and
    `film` None where the file doesn't say.
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
    """One mask: `mask` is (H, W) bool, true where a person is; shown from `pts_ms` until the next entry.

    A mask isn't written to any more once it is in an entry.

    `keyframe`: the network saw this very frame. `cut`: the first frame of a scene. `held`: the mask of
    the frame before was kept. `coverage` is the person's share, 0 to 1.
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
    """Where some seconds of masks lie in a file; `start_ms` is the first one's own pts."""

    start_ms: int
    offset: int
    length: int


class Recorder(Protocol):
    """What turns a segment's entries into bytes, in order."""

    def record(self, entry: Entry, until_ms: int) -> bytes:
        """The entry, which is shown until `until_ms`, as it lies in the inflated segment."""


class Format(ABC):
    """How a track lies in a file: a head with the index, then segments, each compressed on its own.

    `magic` is the file's first four bytes. `window_bits` and `strategy` are zlib's: 15 is a zlib stream, 31 a gzip
    member, None leaves segments as they are; of bytes that seldom repeat, Z_FILTERED makes a little less. `polarity`
    is what a new track paints, where nobody says. `default` puts a format first: it is the one of tracks whose names
    don't say it. Methods that read raise TrackError, whatever the bytes.
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
        """All before the first segment, from every segment's start in ms and length in bytes."""

    @abstractmethod
    def make_recorder(self, header: TrackHeader) -> Recorder:
        """What writes the records of one segment."""

    @abstractmethod
    def read_index(self, file: BinaryIO, file_bytes: int) -> tuple[TrackHeader, tuple[Segment, ...]]:
        """Header and index, from the start of a file that is `file_bytes` long."""

    @abstractmethod
    def read_entries(self, header: TrackHeader, start_ms: int, data: bytes) -> Iterator[Entry]:
        """The entries of an inflated segment."""


def find_format(path: Path) -> Format:
    """The format that a path's suffix names; raises TrackError."""
    if path.suffix not in Format.registered:
        raise TrackError(f"{path}: expected a name ending in {', '.join(Format.registered)}")
    return Format.registered[path.suffix]
