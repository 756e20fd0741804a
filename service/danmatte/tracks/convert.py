"""A track from one format into another: every pts, mask and segment stays."""

from pathlib import Path

from danmatte.errors import TrackError
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.writer import TrackWriter


def convert(source: Path, target: Path) -> int:
    """Writes `target` in the format of its suffix, going on where a killed run left off; the number of masks.

    Raises TrackError. Flags and the model's name are lost in formats that don't have them.
    """
    with TrackReader(source) as reader:
        if target.exists() and target.samefile(source):
            raise TrackError(f"{target}: expected another file than the one being read")
        facts = source.stat()
        job = f"{source.resolve()} {facts.st_size} {facts.st_mtime_ns}"
        with TrackWriter(target, reader.header, job=job) as writer:
            return sum(_converted(reader, number, writer) for number in range(len(reader.segments)))


def _converted(reader: TrackReader, number: int, writer: TrackWriter) -> int:
    """Copies what isn't there yet of a segment, and ends it where it ended; its number of masks."""
    done = -1 if writer.last_pts_ms is None else writer.last_pts_ms
    count = 0
    for entry in reader.segment(number):
        count += 1
        if entry.pts_ms > done:
            writer.add(entry)
    writer.flush_segment()
    return count
