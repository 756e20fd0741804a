"""`.mattes`, our own track format: the outlines of 1-bit masks, deflated per segment. FORMAT.md specifies each byte."""

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from operator import length_hint
from typing import BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from danmatte.codecs.outline import trace_outlines
from danmatte.errors import TrackError
from danmatte.frame import Bits, Size
from danmatte.tracks.chain_code import Corner, encode_chains, fill_chains, orient_eastward
from danmatte.tracks.track import MAX_SEGMENTS, Entry, Film, Format, Polarity, Recorder, Segment, TrackHeader

_PLAIN, _WITH_FILM = 1, 2  # versions of the format: without and with the film's facts
_HEAD = struct.Struct(">4sBBHHHII")
_FILM_BYTES = struct.Struct(">H")
_PLACE = struct.Struct(">QQI")
_POLARITIES: tuple[Polarity, ...] = ("person", "background")
_KEYFRAME, _CUT, _HELD, _SAME, _ALL = 1, 2, 4, 8, 15
_FULL = 255


class MattesFormat(Format, default=True):
    """The format `.mattes`, which stores all fields of an entry; its coverage is rounded to 1/255."""

    suffix = ".mattes"
    magic = b"MATT"
    window_bits = 15
    strategy = zlib.Z_FILTERED

    def format_head(self, header: TrackHeader, segments: Sequence[tuple[int, int]]) -> bytes:
        name, polarity = header.model.encode(), _POLARITIES.index(header.polarity)
        revision = _WITH_FILM if header.film else _PLAIN
        facts = (self.magic, revision, polarity, len(name), header.size.width, header.size.height)
        parts = [_HEAD.pack(*facts, header.version, len(segments)), name]
        if header.film:
            film = msgspec.json.encode(header.film)
            parts[1:] = [_FILM_BYTES.pack(len(film)), name, film]
        offset = sum(map(len, parts)) + _PLACE.size * len(segments)
        for start_ms, length in segments:
            parts.append(_PLACE.pack(start_ms, offset, length))
            offset += length
        return b"".join(parts)

    def make_recorder(self, header: TrackHeader) -> Recorder:
        return _EntryRecorder(header)

    def read_index(self, file: BinaryIO, file_bytes: int) -> tuple[TrackHeader, tuple[Segment, ...]]:
        facts = file.read(_HEAD.size)
        if len(facts) < _HEAD.size:
            raise TrackError(f"truncated: expected {_HEAD.size} bytes, received {len(facts)}")
        _, revision, polarity, name_bytes, width, height, version, count = _HEAD.unpack(facts)
        if revision not in (_PLAIN, _WITH_FILM) or polarity >= len(_POLARITIES) or name_bytes > 255:
            raise TrackError(
                f"head: expected version {_PLAIN} or {_WITH_FILM} and a known polarity, received {facts!r}"
            )
        if not 1 <= count <= MAX_SEGMENTS:
            raise TrackError(f"index: expected 1 to {MAX_SEGMENTS} segments, received {count}")
        film_bytes = 0
        if revision == _WITH_FILM:
            (film_bytes,) = _FILM_BYTES.unpack(file.read(_FILM_BYTES.size).ljust(_FILM_BYTES.size, b"\0"))
        rest = file.read(name_bytes + film_bytes + _PLACE.size * count)
        if len(rest) < name_bytes + film_bytes + _PLACE.size * count:
            raise TrackError(f"truncated: expected an index of {count} segments")
        places = rest[name_bytes + film_bytes :]
        try:
            name = rest[:name_bytes].decode()
        except UnicodeDecodeError as error:
            raise TrackError(f"model: expected UTF-8, received {rest[:name_bytes]!r}") from error
        film = _read_film(rest[name_bytes : name_bytes + film_bytes]) if revision == _WITH_FILM else None
        header = TrackHeader(Size(height, width), _POLARITIES[polarity], name, version, film)
        segments = tuple(Segment(*place) for place in _PLACE.iter_unpack(places))
        if segments[0].offset < file.tell():
            raise TrackError(f"index: expected an offset after the index, received {segments[0].offset}")
        return header, segments

    def read_entries(self, header: TrackHeader, start_ms: int, data: bytes) -> Iterator[Entry]:
        records, pts_ms, mask = _RecordReader(data), start_ms, None
        while not records.at_end:
            pts_ms += records.read_varint()
            flags, coverage = records.read_byte(), records.read_byte()
            if flags > _ALL or (flags & _SAME and mask is None):
                raise TrackError(f"mask at {pts_ms} ms: expected known flags and a mask to repeat, received {flags}")
            if mask is None or not flags & _SAME:
                bits = records.read_mask(header.size)
                mask = bits if header.polarity == "person" else ~bits
            keyframe, cut, held = (bool(flags & flag) for flag in (_KEYFRAME, _CUT, _HELD))
            yield Entry(pts_ms, mask, keyframe, cut, held, coverage / _FULL)


class _EntryRecorder:
    """An encoder of a segment's records; times, masks and corners are stored as differences to the previous ones."""

    def __init__(self, header: TrackHeader) -> None:
        self._inverted = header.polarity == "background"
        self._before: Entry | None = None
        self._starts = np.zeros((0, 2), np.int64)

    def record(self, entry: Entry, until_ms: int) -> bytes:
        before, self._before = self._before, entry
        same = before is not None and np.array_equal(entry.mask, before.mask)
        flags = _KEYFRAME * entry.keyframe | _CUT * entry.cut | _HELD * entry.held | _SAME * same
        later = _encode_varints([entry.pts_ms - before.pts_ms if before else 0])
        share = max(round(entry.coverage * _FULL), entry.coverage > 0)  # in 1/255; 0 only if nobody is visible
        facts = later + bytes([flags, share])
        return facts if same else facts + self._record_mask(~entry.mask if self._inverted else entry.mask)

    def _record_mask(self, bits: Bits) -> bytes:
        record, self._starts = _encode_mask(bits, self._starts)
        return record


class _RecordReader:
    """A sequential reader of an inflated segment."""

    def __init__(self, data: bytes) -> None:
        self._bytes = iter(data)
        self._starts: list[Corner] = []

    @property
    def at_end(self) -> bool:
        return not length_hint(self._bytes)

    def read_byte(self) -> int:
        byte = next(self._bytes, None)
        if byte is None:
            raise TrackError("truncated: expected another byte")
        return byte

    def read_varint(self) -> int:
        value = 0
        for shift in range(0, 35, 7):
            byte = self.read_byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise TrackError("number: expected at most 5 bytes")

    def read_mask(self, size: Size) -> Bits:
        count, starts = self.read_varint(), list[Corner]()
        if count > size.pixels:
            raise TrackError(f"outlines: expected at most {size.pixels}, received {count}")
        for number in range(count):
            x, y = self._starts[number] if number < len(self._starts) else (0, 0)
            starts.append((x + self._read_signed(), y + self._read_signed()))
            if not (0 <= starts[-1][0] < size.width and 0 <= starts[-1][1] < size.height):
                raise TrackError(f"outline {number}: expected a corner within {size}, received {starts[-1]}")
        self._starts = starts
        return fill_chains(starts, self._bytes, size)

    def _read_signed(self) -> int:
        value = self.read_varint()
        return -(value + 1) // 2 if value % 2 else value // 2


def encode_outlines(bits: Bits) -> bytes:
    """Return the outlines of one mask, encoded as in a segment's first record, which refers to no other."""
    return _encode_mask(bits, np.zeros((0, 2), np.int64))[0]


def fill_outlines(data: bytes, size: Size) -> Bits:
    """Return the mask that `encode_outlines` encoded; no bytes mean an empty mask. Raises TrackError."""
    if not data:
        return np.zeros(size, np.bool_)
    records = _RecordReader(data)
    bits = records.read_mask(size)
    if not records.at_end:
        raise TrackError("outlines: expected nothing after the last turn")
    return bits


def _encode_mask(bits: Bits, before: npt.NDArray[np.int64]) -> tuple[bytes, npt.NDArray[np.int64]]:
    """Return a mask's encoded outlines, and their first corners, (K, 2).

    The corners are encoded as differences to those of the mask `before`.
    """
    lines = [orient_eastward(outline) for outline in trace_outlines(bits)]
    starts = np.array([line[0] for line in lines], np.int64).reshape(-1, 2)
    moves = starts.copy()
    known = min(len(starts), len(before))
    moves[:known] -= before[:known]
    zigzag = np.where(moves < 0, -2 * moves - 1, 2 * moves).ravel()
    return _encode_varints([len(lines), *zigzag.tolist()]) + encode_chains(lines), starts


def _encode_varints(values: Iterable[int]) -> bytes:
    """Return each value as groups of 7 bits, lowest first; the top bit of a byte is set if more follow."""
    written = bytearray()
    for value in values:
        while value >= 0x80:
            written.append(value & 0x7F | 0x80)
            value >>= 7
        written.append(value)
    return bytes(written)


def _read_film(data: bytes) -> Film:
    try:
        return msgspec.json.decode(data, type=Film)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TrackError(f"film: expected its facts as JSON: {error}") from error
