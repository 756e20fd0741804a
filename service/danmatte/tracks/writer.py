"""Writing tracks of any format, one entry at a time; memory use doesn't depend on the track's length."""

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
    """A writer of the track `path`, whose suffix selects the format; the file appears only when it is complete.

    Finished segments survive an interruption, also by an error that leaves the `with` block. A later writer with the
    same header and `job`, a label for everything that the masks are made from, finds them and resumes after
    `last_pts_ms`. `tally` is stored with them; callers update it. Every method raises TrackError.
    """

    def __init__(self, path: Path, header: TrackHeader, *, job: str = "") -> None:
        self.path, self.header = path, header
        self._format = find_format(path)
        label = [path.suffix, *header.size, header.polarity, header.model, header.version, job]
        self._store = SegmentStore(name_unfinished(path, ".part"), json.dumps(label).encode())
        self._segment: _OpenSegment | None = None
        self.tally = replace(self._store.segments[-1].tally) if self._store.segments else Tally()
        self._newest: Entry | None = None  # waits for the next entry, which ends the time that it is shown

    @property
    def last_pts_ms(self) -> int | None:
        """The last entry's pts, at first that of the last stored segment; None if there is no entry yet."""
        if self._newest:
            return self._newest.pts_ms
        return self._store.segments[-1].last_ms if self._store.segments else None

    def add(self, entry: Entry) -> None:
        """Add the next entry, which must be later than the previous one."""
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
        """Set the film's facts, which are known only after its frames were read; not every format stores them."""
        self.header = replace(self.header, film=film)

    def end_segment(self, until_ms: int) -> None:
        """End the segment, whose last mask is shown up to `until_ms`; the next entry begins a new one."""
        self._write_newest(until_ms)
        self._store_segment()

    def _write_newest(self, until_ms: int) -> None:
        """Add the newest entry, shown up to `until_ms`, to the open segment or to a new one."""
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
        """Finish the track and put the complete file in place."""
        if self._newest:
            self.end_segment(self._newest.pts_ms + LAST_MS)
        if not self._store.segments:
            raise TrackError(f"{self.path}: expected at least one mask")
        whole = name_unfinished(self.path, ".whole")
        places = [(segment.start_ms, segment.length) for segment in self._store.segments]
        try:
            # The index precedes the segments and contains their lengths, so they are copied from the store at the end.
            with whole.open("wb") as file:
                file.write(self._format.format_head(self.header, places))
                file.writelines(self._store.read_segments())
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self.path)
        except OSError as error:
            whole.unlink(missing_ok=True)
            raise TrackError(f"{self.path}: expected space for the whole track: {error.strerror}") from error
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
    """An unfinished segment, compressed incrementally."""

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
        """Add an entry, shown up to `until_ms`; return False if it would exceed the limits of a segment."""
        if entry.pts_ms - self.start_ms >= SEGMENT_MS or self._entries == MAX_SEGMENT_ENTRIES:
            return False
        record = self._recorder.record(entry, until_ms)
        if self._bytes + len(record) > MAX_SEGMENT_BYTES:
            return False
        self._packed.append(self._deflater.compress(record) if self._deflater else record)
        self._entries, self._bytes, self.last = self._entries + 1, self._bytes + len(record), entry
        return True

    def finish(self) -> bytes:
        """Return the finished segment, compressed."""
        return b"".join([*self._packed, self._deflater.flush() if self._deflater else b""])


def convert_track(source: Path, target: Path) -> int:
    """Convert the track `source` to the format of the suffix of `target`; return the number of masks.

    Every pts, mask and segment is preserved; flags and the model's name are lost in formats without them. Resumes an
    interrupted conversion. Raises TrackError.
    """
    with TrackReader(source) as reader:
        if target.exists() and target.samefile(source):
            raise TrackError(f"{target}: expected a file other than the one being read")
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
