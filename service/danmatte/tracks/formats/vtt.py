"""`.vtt`, a WebVTT metadata track for readers of text tracks: a cue per mask, as JSON. Cues don't refer to each other.

The first line gives the length of the head. A comment in the head contains what the head of `.mattes` contains, and the
index, so that a reader can request byte ranges. A cue's `mask` is base64 of the outlines of a `.mattes` record whose
corners are relative to 0, 0.
"""

import base64
import re
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta, Struct

from danmatte.errors import TrackError, brief
from danmatte.frame import Size
from danmatte.tracks.formats.mattes import encode_outlines, fill_outlines
from danmatte.tracks.track import (
    MAX_PTS_MS,
    MAX_SEGMENTS,
    Entry,
    Film,
    Format,
    Polarity,
    Recorder,
    Segment,
    TrackHeader,
)

_FIRST_LINE = re.compile(rb"WEBVTT danmatte/1 head=(\d{8})\n\nNOTE\n")
_FIRST_LINE_BYTES = len(b"WEBVTT danmatte/1 head=00000000\n\nNOTE\n")
_MAX_HEAD_BYTES = 2**22
_LINE = re.compile(r"(\d{2,10}):([0-5]\d):([0-5]\d)\.(\d{3}) --> \d{2,10}:[0-5]\d:[0-5]\d\.\d{3}")


class VttHead(Struct, frozen=True, omit_defaults=True):
    """The JSON in the head's comment; `segments` are each segment's start in ms and length in bytes."""

    width: Annotated[int, Meta(ge=1, lt=2**16)]
    height: Annotated[int, Meta(ge=1, lt=2**16)]
    segments: Annotated[
        list[tuple[Annotated[int, Meta(ge=0, le=MAX_PTS_MS)], Annotated[int, Meta(ge=1, lt=2**32)]]],
        Meta(min_length=1, max_length=MAX_SEGMENTS),
    ]
    polarity: Polarity = "person"
    model: str = ""
    version: Annotated[int, Meta(ge=0, lt=2**32)] = 0
    film: Film | None = None


class CueMask(Struct, frozen=True, omit_defaults=True):
    """A cue's JSON: base64 of the outlines, the mask's size, and the fields of an `Entry`.

    `mask` is empty if nothing is painted.
    """

    width: Annotated[int, Meta(ge=1, lt=2**16)]
    height: Annotated[int, Meta(ge=1, lt=2**16)]
    mask: str
    polarity: Polarity = "person"
    coverage: Annotated[float, Meta(ge=0, le=1)] = 0.0
    keyframe: bool = False
    cut: bool = False
    held: bool = False


class VttFormat(Format):
    """The format `.vtt`, which stores all fields of an entry; its coverage is rounded to four decimal places."""

    suffix = ".vtt"
    magic = b"WEBV"
    window_bits = None

    def format_head(self, header: TrackHeader, segments: Sequence[tuple[int, int]]) -> bytes:
        head = VttHead(
            width=header.size.width,
            height=header.size.height,
            segments=list(segments),
            polarity=header.polarity,
            model=header.model,
            version=header.version,
            film=header.film,
        )
        # `-->` would begin a cue, so `>` is escaped in the JSON.
        facts = msgspec.json.encode(head).replace(b">", b"\\u003e") + b"\n\n"
        return b"WEBVTT danmatte/1 head=%08d\n\nNOTE\n" % (_FIRST_LINE_BYTES + len(facts)) + facts

    def make_recorder(self, header: TrackHeader) -> Recorder:
        return CueRecorder(header.polarity)

    def read_index(self, file: BinaryIO, file_bytes: int) -> tuple[TrackHeader, tuple[Segment, ...]]:
        first = file.read(_FIRST_LINE_BYTES)
        found = _FIRST_LINE.fullmatch(first)
        if found is None or not _FIRST_LINE_BYTES < (head_bytes := int(found[1])) <= _MAX_HEAD_BYTES:
            raise TrackError(f"head: expected the first lines of danmatte's tracks, received {brief(repr(first))}")
        facts = file.read(head_bytes - _FIRST_LINE_BYTES)
        if len(facts) < head_bytes - _FIRST_LINE_BYTES:
            raise TrackError(f"truncated: expected a head of {head_bytes} bytes")
        try:
            head = msgspec.json.decode(facts, type=VttHead)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise TrackError(f"head: expected its facts as JSON: {error}") from error
        header = TrackHeader(Size(head.height, head.width), head.polarity, head.model, head.version, head.film)
        ends = accumulate((length for _, length in head.segments), initial=head_bytes)
        return header, tuple(
            Segment(start_ms, offset, length) for (start_ms, length), offset in zip(head.segments, ends, strict=False)
        )

    def read_entries(self, header: TrackHeader, start_ms: int, data: bytes) -> Iterator[Entry]:
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise TrackError(f"cues: expected UTF-8: {error}") from error
        *blocks, rest = text.split("\n\n")
        if rest:
            raise TrackError(f"truncated: expected a cue and an empty line, received {brief(rest)}")
        for block in blocks:
            yield read_cue(block, header)


class CueRecorder:
    """An encoder of cues, one per mask; the outlines enclose what `polarity` says."""

    def __init__(self, polarity: Polarity) -> None:
        self._polarity = polarity

    def record(self, entry: Entry, until_ms: int) -> bytes:
        """Return the cue, and the empty line after it."""
        cue = describe_mask(entry, self._polarity)
        line = f"{format_time(entry.pts_ms)} --> {format_time(until_ms)}\n"
        return line.encode() + msgspec.json.encode(cue) + b"\n\n"


def describe_mask(entry: Entry, polarity: Polarity) -> CueMask:
    """Return a mask as the JSON of a cue, or of a message within a stream."""
    bits = entry.mask if polarity == "person" else ~entry.mask
    return CueMask(
        width=bits.shape[1],
        height=bits.shape[0],
        mask=base64.b64encode(encode_outlines(bits)).decode() if bits.any() else "",
        polarity=polarity,
        coverage=max(round(entry.coverage, 4), 0.0001 * (entry.coverage > 0)),  # 0 only if nobody is visible
        keyframe=entry.keyframe,
        cut=entry.cut,
        held=entry.held,
    )


def format_time(ms: int) -> str:
    """Return a time in WebVTT's form, `HH:MM:SS.mmm`."""
    minutes, rest = divmod(ms, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def read_cue(block: str, header: TrackHeader) -> Entry:
    """Return a cue's mask; raises TrackError."""
    line, _, payload = block.partition("\n")
    found = _LINE.fullmatch(line)
    if found is None:
        raise TrackError(f"cue: expected its two times, received {brief(line)}")
    hours, minutes, seconds, rest = map(int, found.groups())
    pts_ms = 1000 * (60 * (60 * hours + minutes) + seconds) + rest
    try:
        cue = msgspec.json.decode(payload, type=CueMask)
        outlines = base64.b64decode(cue.mask, validate=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise TrackError(f"mask at {pts_ms} ms: {error}") from error
    if (cue.height, cue.width) != header.size:
        raise TrackError(f"mask at {pts_ms} ms: expected {header.size}, received {cue.width}x{cue.height}")
    bits = fill_outlines(outlines, header.size)
    mask = bits if cue.polarity == "person" else ~bits
    return Entry(pts_ms, mask, cue.keyframe, cue.cut, cue.held, cue.coverage)
