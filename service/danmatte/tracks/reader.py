"""Reading tracks of any format, one segment at a time; files are treated as untrusted input."""

import os
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from danmatte.errors import TrackError
from danmatte.tracks.track import MAX_PTS_MS, MAX_SEGMENT_BYTES, MAX_SEGMENT_ENTRIES, Entry, Format, Segment

_MAX_COMPRESSED_BYTES = MAX_SEGMENT_BYTES + 2**16  # incompressible data grows slightly


class TrackReader:
    """A track on disk: the constructor reads `header` and `segments`; entries are read on demand.

    Raises TrackError: in the constructor for an invalid head or index, later for the segment being read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise TrackError(f"{path}: expected a readable file: {error.strerror}") from error
        try:
            file_bytes = os.fstat(self._file.fileno()).st_size
            magic = self._file.read(4)
            known = {each.magic: each for each in Format.registered.values()}
            if magic not in known:
                raise TrackError(f"expected a track ({', '.join(Format.registered)}), received bytes {magic!r}")
            self._format = known[magic]
            self._file.seek(0)
            self.header, self.segments = self._format.read_index(self._file, file_bytes)
            check_index(self.segments, file_bytes)
        except TrackError as error:
            self._file.close()
            raise TrackError(f"{path}: {error}") from error

    def __iter__(self) -> Iterator[Entry]:
        """Yield every entry in order."""
        return (entry for number in range(len(self.segments)) for entry in self.read_segment(number))

    def read_segment(self, number: int) -> Iterator[Entry]:
        """Yield the entries of one segment; their times increase and lie within the segment."""
        place = self.segments[number]
        self._file.seek(place.offset)
        before = place.start_ms - 1
        end = self.segments[number + 1].start_ms if number + 1 < len(self.segments) else None
        try:
            data = inflate(self._file.read(place.length), self._format.window_bits)
            for count, entry in enumerate(self._format.read_entries(self.header, place.start_ms, data)):
                if entry.pts_ms <= before:
                    raise TrackError(f"pts: expected more than {before} ms, received {entry.pts_ms}")
                if end is not None and entry.pts_ms >= end:
                    raise TrackError(f"pts: expected less than the next segment's {end} ms, received {entry.pts_ms}")
                if count == MAX_SEGMENT_ENTRIES or (count == 0 and entry.pts_ms != place.start_ms):
                    raise TrackError(f"expected at most {MAX_SEGMENT_ENTRIES} masks from {place.start_ms} ms")
                before = entry.pts_ms
                yield entry
            if before < place.start_ms:
                raise TrackError("expected at least one mask")
        except TrackError as error:
            raise TrackError(f"{self.path}: segment {number}: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def inflate(data: bytes, window_bits: int | None) -> bytes:
    """Return a segment's records, inflated.

    Raises TrackError unless `data` is exactly one complete stream of at most MAX_SEGMENT_BYTES.
    """
    if window_bits is None:
        if len(data) > MAX_SEGMENT_BYTES:
            raise TrackError(f"expected at most {MAX_SEGMENT_BYTES} bytes inflated")
        return data
    inflater = zlib.decompressobj(window_bits)
    try:
        records = inflater.decompress(data, MAX_SEGMENT_BYTES + 1)
    except zlib.error as error:
        raise TrackError(f"compressed data: {error}") from error
    if len(records) > MAX_SEGMENT_BYTES:
        raise TrackError(f"expected at most {MAX_SEGMENT_BYTES} bytes inflated")
    if not inflater.eof or inflater.unused_data:
        raise TrackError(f"expected one whole compressed stream of {len(data)} bytes")
    return records


def check_index(segments: tuple[Segment, ...], file_bytes: int) -> None:
    """Raise TrackError unless the segments are in order, in time and in the file, and within its length."""
    for segment in segments:
        if not 0 < segment.length <= _MAX_COMPRESSED_BYTES or not 0 <= segment.start_ms <= MAX_PTS_MS:
            raise TrackError(f"index: expected 1 to {_MAX_COMPRESSED_BYTES} bytes from 0 ms on, received {segment}")
    for segment, after in pairwise(segments):
        if after.start_ms <= segment.start_ms:
            raise TrackError(f"index: expected a start after {segment.start_ms} ms, received {after.start_ms}")
        if after.offset < segment.offset + segment.length:
            raise TrackError(f"index: expected an offset after {segment.offset}, received {after.offset}")
    last = segments[-1]
    if last.offset + last.length > file_bytes:
        raise TrackError(f"truncated: expected {last.offset + last.length} bytes, received {file_bytes}")
