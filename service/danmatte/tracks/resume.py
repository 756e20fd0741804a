"""On-disk storage for the finished segments of an unfinished track, so that an interrupted writer can resume."""

import fcntl
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path

from danmatte.errors import TrackError
from danmatte.tracks.tally import Tally

_RECORD = struct.Struct(">IIqq6Q")  # length, CRC-32 of the data, first and last pts, the tally


@dataclass(frozen=True)
class StoredSegment:
    """A finished, compressed segment of `length` bytes; `start_ms` and `last_ms` are its first and last pts.

    `tally` counts from the track's start to this segment's end.
    """

    start_ms: int
    last_ms: int
    length: int
    tally: Tally = field(default_factory=Tally)


class SegmentStore:
    """A file of length-prefixed records: a label, then the segments; `segments` lists those that are stored.

    A file with another label is cleared, and an incomplete record at the end is cut off. Raises TrackError if the
    file can't be written or another writer has it open.
    """

    def __init__(self, path: Path, label: bytes) -> None:
        self.path, self.segments = path, list[StoredSegment]()
        try:
            path.touch()
            self._file = path.open("r+b")
        except OSError as error:
            raise TrackError(f"{path}: expected a file that can be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise TrackError(f"{path}: expected one writer, but another one has it open") from error
        self._resume(label)

    def append(self, segment: StoredSegment, data: bytes) -> None:
        """Add a segment; it survives the end of the process once this returns. Raises TrackError."""
        try:
            self._file.write(_pack_head(segment, data) + data)
            self._file.flush()
        except OSError as error:
            raise TrackError(f"{self.path}: expected space for {len(data)} bytes: {error.strerror}") from error
        self.segments.append(segment)

    def read_segments(self) -> Iterator[bytes]:
        """Yield every segment's data in order; nothing can be appended afterwards."""
        self._file.seek(0)
        records = self._read_records()
        next(records)
        return (data for _, data in records)

    def close(self) -> None:
        """Close the file and keep it for the next writer."""
        with suppress(OSError):  # `append` has already reported what couldn't be written
            self._file.close()

    def remove(self) -> None:
        """Close and delete the file."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def _resume(self, label: bytes) -> None:
        records = self._read_records()
        if next(records, (None, None))[1] == label:
            end = self._file.tell()
            for segment, _ in records:
                self.segments.append(segment)
                end = self._file.tell()
            self._file.seek(end)
            self._file.truncate()
            return
        self._file.seek(0)
        self._file.truncate()
        self.append(StoredSegment(0, 0, len(label)), label)
        self.segments.clear()

    def _read_records(self) -> Iterator[tuple[StoredSegment, bytes]]:
        """Yield the complete records from the file's position on."""
        while len(head := self._file.read(_RECORD.size)) == _RECORD.size:
            length, checksum, start_ms, last_ms, *counts = _RECORD.unpack(head)
            data = self._file.read(length)
            if len(data) < length or zlib.crc32(data) != checksum:
                return
            yield StoredSegment(start_ms, last_ms, length, Tally(*counts)), data


def _pack_head(segment: StoredSegment, data: bytes) -> bytes:
    times = segment.start_ms, segment.last_ms
    return _RECORD.pack(len(data), zlib.crc32(data), *times, *astuple(segment.tally))
