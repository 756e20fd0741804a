"""`.webmask`, the mask file that web players support: an SVG per mask, gzipped per segment, all numbers big-endian."""

import base64
import binascii
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO

from danmatte.codecs.svg import format_svg
from danmatte.errors import TrackError, brief
from danmatte.frame import Bits, Size
from danmatte.tracks.reader import check_index, inflate
from danmatte.tracks.svg_fill import fill_paths
from danmatte.tracks.track import MAX_SEGMENTS, Entry, Format, Recorder, Segment, TrackHeader

_VERSION, _CODEC = 1, 2
_HEAD = struct.Struct(">4siB3xi")
_PLACE = struct.Struct(">qq")
_RECORD = struct.Struct(">iq")
_SCHEME = b"data:image/svg+xml;base64,"
_MAX_RECORD_BYTES = 2**20

_MAX_TAG_LENGTH = 1000

_WIDTH, _HEIGHT = (re.compile(rf'\s{name}="(\d{{1,5}})(?:\.0*)?(?:px)?"') for name in ("width", "height"))
_TRANSFORM = re.compile(r'\stransform="translate\(0(?:\.0*)?,(\d{1,5})(?:\.0*)?\) scale\(0?\.10*,-0?\.10*\)"')
_PATH = re.compile(r'\sd="([^"]*)"')


class WebmaskFormat(Format):
    """The format `.webmask`, which stores only pts and masks. It fills the area for comments; the person is a hole."""

    suffix = ".webmask"
    magic = b"MASK"
    window_bits = 31
    polarity = "background"

    def format_head(self, header: TrackHeader, segments: Sequence[tuple[int, int]]) -> bytes:
        offset = _HEAD.size + _PLACE.size * len(segments)
        parts = [_HEAD.pack(self.magic, _VERSION, _CODEC, len(segments))]
        for start_ms, length in segments:
            parts.append(_PLACE.pack(start_ms, offset))
            offset += length
        return b"".join(parts)

    def make_recorder(self, header: TrackHeader) -> Recorder:
        return self

    def record(self, entry: Entry, until_ms: int) -> bytes:
        """Return the mask as SVG, after its length and pts."""
        picture = _SCHEME + base64.b64encode(format_svg(~entry.mask))
        if len(picture) > _MAX_RECORD_BYTES:
            raise TrackError(f"mask at {entry.pts_ms} ms: expected at most {_MAX_RECORD_BYTES} bytes as SVG")
        return _RECORD.pack(len(picture), entry.pts_ms) + picture

    def read_index(self, file: BinaryIO, file_bytes: int) -> tuple[TrackHeader, tuple[Segment, ...]]:
        segments = _read_segments(file, file_bytes)
        check_index(segments, file_bytes)
        first = segments[0]
        file.seek(first.offset)
        data = inflate(file.read(first.length), self.window_bits)
        _, picture = next(_read_records(data), (0, ""))
        return TrackHeader(_read_size(picture), "background"), segments

    def read_entries(self, header: TrackHeader, start_ms: int, data: bytes) -> Iterator[Entry]:
        for pts_ms, picture in _read_records(data):
            if _read_size(picture) != header.size:
                raise TrackError(f"mask at {pts_ms} ms: expected {header.size}, received {_read_size(picture)}")
            mask = ~_fill_picture(picture, header.size)
            yield Entry(pts_ms, mask, coverage=float(mask.mean()))


def _read_segments(file: BinaryIO, file_bytes: int) -> tuple[Segment, ...]:
    facts = file.read(_HEAD.size)
    if len(facts) < _HEAD.size:
        raise TrackError(f"truncated: expected {_HEAD.size} bytes, received {len(facts)}")
    _, version, codec, count = _HEAD.unpack(facts)
    if (version, codec) != (_VERSION, _CODEC) or not 1 <= count <= MAX_SEGMENTS:
        raise TrackError(f"head: expected version 1, codec 2, 1 to {MAX_SEGMENTS} segments, received {facts!r}")
    rest = file.read(_PLACE.size * count)
    if len(rest) < _PLACE.size * count:
        raise TrackError(f"truncated: expected an index of {count} segments")
    places = [*_PLACE.iter_unpack(rest), (0, file_bytes)]
    if places[0][1] < _HEAD.size + len(rest):
        raise TrackError(f"index: expected an offset after the index, received {places[0][1]}")
    return tuple(Segment(start, offset, after - offset) for (start, offset), (_, after) in pairwise(places))


def _read_records(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield pts in ms and SVG of every record of an inflated segment."""
    at = 0
    while at < len(data):
        if at + _RECORD.size > len(data):
            raise TrackError(f"truncated: expected a record at byte {at} of {len(data)}")
        length, pts_ms = _RECORD.unpack_from(data, at)
        at += _RECORD.size
        limit = min(_MAX_RECORD_BYTES, len(data) - at)
        if not len(_SCHEME) <= length <= limit:
            raise TrackError(f"mask at {pts_ms} ms: expected {len(_SCHEME)} to {limit} bytes, received {length}")
        yield pts_ms, _decode_svg(data[at : at + length], pts_ms)
        at += length


def _decode_svg(picture: bytes, pts_ms: int) -> str:
    if not picture.startswith(_SCHEME):
        raise TrackError(f"mask at {pts_ms} ms: expected {_SCHEME.decode()}…, received {picture[:30]!r}")
    try:
        return base64.b64decode(picture[len(_SCHEME) :], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise TrackError(f"mask at {pts_ms} ms: {error}") from error


def _read_size(picture: str) -> Size:
    tag = _find_tag(picture, "<svg")
    width, height = _WIDTH.search(tag), _HEIGHT.search(tag)
    if width is None or height is None:
        raise TrackError(f"SVG: expected width and height in whole pixels, received {brief(tag)}")
    return Size(int(height[1]), int(width[1]))


def _fill_picture(picture: str, size: Size) -> Bits:
    """Return the mask, (H, W), that all paths of an SVG fill together."""
    group = _TRANSFORM.search(_find_tag(picture, "<g"))
    if group is None or int(group[1]) != size.height:
        raise TrackError(f"SVG: expected a group in tenths of a pixel, y upwards from {size.height}")
    found = [_PATH.search(piece.partition(">")[0]) for piece in picture.split("<path")[1:]]
    if not found or None in found:
        raise TrackError("SVG: expected paths")
    return fill_paths([path[1] for path in found if path], size)


def _find_tag(picture: str, start: str) -> str:
    """Return the first tag with this beginning, without its `>`; empty if there is none."""
    at = picture.find(start)
    return picture[at : at + _MAX_TAG_LENGTH].partition(">")[0] if at >= 0 else ""
