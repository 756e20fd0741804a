"""Writes a track of any format, an entry at a time, in memory that doesn't grow with its length."""

import json
import os
import zlib
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from danmatte.contract.whole_files import name_unfinished
from danmatte.errors import TrackError
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.resume import SegmentStore, StoredSegment
from danmatte.tracks.tally import Tally
from danmatte.tracks.track import (
    LAST_MS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENT_ENTRIES,
    MAX_SEGMENTS,
    SEGMENT_MS,
    Entry,
    Film,
    Format,
    TrackHeader,
    find_format,
)


class TrackWriter:
    """A track on its way to `path`, whose suffix chooses the format; nothing is there before it is whole.

    Whole segments outlive a killed writer: one with the same header and `job` (what the masks are made of, in
    any words) finds them again, and goes on after `last_pts_ms`. Leaving a `with` block by an error keeps them,
    too. `tally` is kept with them: who writes counts there. Every method raises TrackError.
    """

    def __init__(self, path: Path, header: TrackHeader, *, job: str = "") -> None:
        self.path, self.header = path, header
        self._format = find_format(path)
        label = [path.suffix, *header.size, header.polarity, header.model, header.version, job]
        self._store = SegmentStore(name_unfinished(path, ".part"), json.dumps(label).encode())
        self._segment: _OpenSegment | None = None
        self.tally = replace(self._store.segments[-1].tally) if self._store.segments else Tally()
        self._newest: Entry | None = None  # waits for the next, up to which it is shown

    @property
    def last_pts_ms(self) -> int | None:
        """The last entry's pts, None before the first. At first that of the last segment found again."""
        if self._newest:
            return self._newest.pts_ms
        return self._store.segments[-1].last_ms if self._store.segments else None

    def add(self, entry: Entry) -> None:
        """The next entry, later than the one before."""
        last = self.last_pts_ms
        if last is not None and entry.pts_ms <= last:
            raise TrackError(f"{self.path}: pts: expected more than {last} ms, received {entry.pts_ms}")
        if entry.mask.shape != self.header.size:
            raise TrackError(f"{self.path}: mask: expected {self.header.size}, received {entry.mask.shape[::-1]}")
        self._write_newest(entry.pts_ms)
        if self._segment and entry.pts_ms - self._segment.start_ms >= SEGMENT_MS:
            self._store_segment()
        self._newest = entry

    def describe_film(self, film: Film) -> None:
        """What is known of the film once its frames are read; formats that have no room for it leave it out."""
        self.header = replace(self.header, film=film)

    def end_segment(self, until_ms: int) -> None:
        """Ends the segment here, its last mask shown up to `until_ms`; the next entry begins another."""
        self._write_newest(until_ms)
        self._store_segment()

    def _write_newest(self, until_ms: int) -> None:
        """Brings the newest entry, shown up to `until_ms`, into its segment."""
        entry, self._newest = self._newest, None
        if entry and (self._segment is None or not self._segment.add_if_it_fits(entry, until_ms)):
            self._store_segment()
            self._segment = _OpenSegment(self._format, self.header, entry, until_ms)

    def _store_segment(self) -> None:
        if self._segment is None:
            return
        if len(self._store.segments) == MAX_SEGMENTS:
            raise TrackError(f"{self.path}: expected at most {MAX_SEGMENTS} segments")
        data = self._segment.finish()
        times = self._segment.start_ms, self._segment.last.pts_ms
        self._store.append(StoredSegment(*times, len(data), replace(self.tally)), data)
        self._segment = None

    def close(self) -> None:
        """Ends the track: it is whole and at its place when this returns."""
        if self._newest:
            self.end_segment(self._newest.pts_ms + LAST_MS)
        if not self._store.segments:
            raise TrackError(f"{self.path}: expected at least one mask")
        whole = name_unfinished(self.path, ".whole")
        places = [(segment.start_ms, segment.length) for segment in self._store.segments]
        try:
            # The index comes first in the file and needs every segment's length, so the segments wait in the store.
            with whole.open("wb") as file:
                file.write(self._format.format_head(self.header, places))
                file.writelines(self._store.read_segments())
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self.path)
        except OSError as error:
            whole.unlink(missing_ok=True)
            raise TrackError(f"{self.path}: expected room for the whole track: {error.strerror}") from error
        self._store.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.close()
        finally:
            self._store.close()


class _OpenSegment:
    """A segment in the making, compressed as it grows."""

    def __init__(self, format_: Format, header: TrackHeader, first: Entry, until_ms: int) -> None:
        self.start_ms, self.last = first.pts_ms, first
        bits = format_.window_bits
        self._deflater = None if bits is None else zlib.compressobj(9, zlib.DEFLATED, bits, strategy=format_.strategy)
        self._recorder = format_.make_recorder(header)
        self._packed = list[bytes]()
        self._entries = self._bytes = 0
        if not self.add_if_it_fits(first, until_ms):
            raise TrackError(f"mask at {first.pts_ms} ms: expected at most {MAX_SEGMENT_BYTES} bytes")

    def add_if_it_fits(self, entry: Entry, until_ms: int) -> bool:
        """Adds an entry, shown up to `until_ms`; False, and the segment is over, where readers take no more."""
        if entry.pts_ms - self.start_ms >= SEGMENT_MS or self._entries == MAX_SEGMENT_ENTRIES:
            return False
        record = self._recorder.record(entry, until_ms)
        if self._bytes + len(record) > MAX_SEGMENT_BYTES:
            return False
        self._packed.append(self._deflater.compress(record) if self._deflater else record)
        self._entries, self._bytes, self.last = self._entries + 1, self._bytes + len(record), entry
        return True

    def finish(self) -> bytes:
        """The whole segment, compressed."""
        return b"".join([*self._packed, self._deflater.flush() if self._deflater else b""])


def convert_track(source: Path, target: Path) -> int:
    """Writes the track `source` to `target` in the format of its suffix; returns the number of masks.

    Every pts, mask and segment stays; flags and the model's name are lost in formats that don't have them. Goes on
    where a killed run left off. Raises TrackError.
    """
    with TrackReader(source) as reader:
        if target.exists() and target.samefile(source):
            raise TrackError(f"{target}: expected another file than the one being read")
        facts = source.stat()
        job = f"{source.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        with TrackWriter(target, reader.header, job=job) as writer:
            count = last_ms = 0
            done = -1 if writer.last_pts_ms is None else writer.last_pts_ms
            for number in range(len(reader.segments)):
                for entry in reader.read_segment(number):
                    count += 1
                    if entry.pts_ms > done:
                        writer.add(entry)
                    last_ms = entry.pts_ms
                rest = reader.segments[number + 1 :]
                writer.end_segment(rest[0].start_ms if rest else last_ms + LAST_MS)
            return count
