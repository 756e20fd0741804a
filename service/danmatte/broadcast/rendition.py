"""Masks as a WebVTT rendition of HLS (RFC 8216, 3.5): segments beside the video's, of a finished film or live."""

import re
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from danmatte.contract.whole_files import write_whole
from danmatte.errors import TrackError
from danmatte.tracks import Entry, TrackHeader, TrackReader
from danmatte.tracks.formats.vtt import CueRecorder
from danmatte.tracks.track import LAST_MS

SEGMENT_MS = 6000
_TICKS = 90  # of MPEG-TS in a millisecond
_WRAP = 2**33
_NAME = "SUBTITLES"
_LABEL = 'NAME="masks",LANGUAGE="zxx"'


class HlsSegment(NamedTuple):
    """A segment's file, and from when to when it goes."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class RenditionOptions:
    """How a rendition is made.

    `segment_ms` is how long segments are; `window` how many of them a live playlist lists, None for a finished film's.
    `stream_ms` is the stream's own time where the masks' clock is 0, which players subtract. `date_ms` is when that
    was, in ms since 1970, where it is known.
    """

    segment_ms: int = SEGMENT_MS
    window: int | None = None
    stream_ms: int = 0
    date_ms: int | None = None


class Rendition:
    """A playlist on its way to `path`, its segments beside it; masks come in order of time.

    A live one lists the newest segments after each, and deletes those that players have no use for any more. Where one
    was before, numbers go on (RFC 8216, 6.2.2: they never go back), and its segments are deleted. A mask that is shown
    across the end of a segment is in both. Raises TrackError where something can't be written.
    """

    def __init__(self, path: Path, header: TrackHeader, options: RenditionOptions) -> None:
        self.path, self._options = path, options
        self._recorder = CueRecorder(header.polarity)
        self._segments = deque[HlsSegment]()
        # what an earlier run left there, as its supervisor started another
        self._old = _find_segments(path) if options.window is not None else {}
        self._number = max(self._old, default=-1) + 1  # of the first segment that is listed
        self._start_ms: int | None = None
        self._cues = list[bytes]()
        self._newest: Entry | None = None

    @property
    def has_masks(self) -> bool:
        """Whether any mask came."""
        return self._newest is not None

    def add(self, entry: Entry) -> None:
        """The next mask; it is shown until the one after it comes, in a live rendition for a second at most."""
        if self._newest:
            if entry.pts_ms <= self._newest.pts_ms:
                raise TrackError(f"pts: expected more than {self._newest.pts_ms} ms, received {entry.pts_ms}")
            self._record(self._newest, entry.pts_ms)
        elif self._start_ms is None:
            # Segments begin at whole multiples, whenever the first mask came: those of a live stream stay in step.
            self._start_ms = entry.pts_ms // self._options.segment_ms * self._options.segment_ms
        self._newest = entry

    def finish(self) -> None:
        """The stream is over: the playlist says so."""
        if self._newest is None or self._start_ms is None:
            raise TrackError(f"{self.path}: expected at least one mask")
        until_ms = self._newest.pts_ms + LAST_MS
        self._record(self._newest, until_ms)
        if self._cues:
            self._end_segment(until_ms)
        self._write_playlist(is_over=True)

    def _record(self, entry: Entry, until_ms: int) -> None:
        assert self._start_ms is not None
        is_live = self._options.window is not None
        shown_ms = min(until_ms, entry.pts_ms + LAST_MS) if is_live else until_ms  # then frames were lost
        cue = self._recorder.record(entry, shown_ms)
        self._cues.append(cue)
        while until_ms >= (end_ms := self._start_ms + self._options.segment_ms):
            self._end_segment(end_ms)
            self._cues = [cue] if shown_ms > end_ms else []
            if is_live:
                self._write_playlist(is_over=False)

    def _end_segment(self, end_ms: int) -> None:
        assert self._start_ms is not None
        name = f"{self.path.stem}-{self._number + len(self._segments):06}.vtt"
        ticks = self._options.stream_ms * _TICKS % _WRAP
        head = f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{ticks}\n\n".encode()
        _write(self.path.with_name(name), head + b"".join(self._cues))
        self._segments.append(HlsSegment(name, self._start_ms, end_ms))
        self._start_ms, self._cues = end_ms, []

    def _write_playlist(self, *, is_over: bool) -> None:
        window, old = self._options.window, list[HlsSegment]()
        # As many again stay on disk: a player may still be at one that is no longer listed.
        while window is not None and len(self._segments) > 2 * window:
            old.append(self._segments.popleft())
            self._number += 1
        unlisted = max(0, len(self._segments) - window) if window is not None else 0
        _write(self.path, self._format_playlist(unlisted, is_over=is_over).encode())
        for segment in old:
            self.path.with_name(segment.name).unlink(missing_ok=True)
        while self._old:
            self._old.popitem()[1].unlink(missing_ok=True)

    def _format_playlist(self, unlisted: int, *, is_over: bool) -> str:
        listed = [*self._segments][unlisted:]
        longest_ms = max(segment.end_ms - segment.start_ms for segment in listed)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{-(-longest_ms // 1000)}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{self._number + unlisted}")
        if self._options.window is None:
            lines.append("#EXT-X-PLAYLIST-TYPE:VOD")
        for segment in listed:
            if self._options.date_ms is not None:
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_format_date(self._options.date_ms + segment.start_ms)}")
            lines += [f"#EXTINF:{(segment.end_ms - segment.start_ms) / 1000:.3f},", quote(segment.name)]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if is_over else [])]) + "\n"


def _find_segments(path: Path) -> dict[int, Path]:
    """The segments of a playlist that are on the disk, by their numbers."""
    named = re.compile(rf"{re.escape(path.stem)}-(\d{{6,15}})\.vtt", re.ASCII)
    try:
        found = [(named.fullmatch(file.name), file) for file in path.parent.iterdir()]
    except OSError:  # what is to be written there will say why not
        return {}
    return {int(match[1]): file for match, file in found if match}


def _format_date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _write(path: Path, data: bytes) -> None:
    """Writes a file at once, so that nobody reads a half."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise TrackError(f"{path}: expected a place to write: {error.strerror}") from error


def write_rendition(source: Path, target: Path) -> int:
    """A track as a finished rendition; returns the number of masks. Raises TrackError.

    A film that was a playlist of transport streams knows the stream's own time, and players find the masks by it.
    """
    with TrackReader(source) as reader:
        film, count = reader.header.film, 0
        stream_ms = film.sections[0][1] - film.sections[0][0] if film and film.sections else 0
        rendition = Rendition(target, reader.header, RenditionOptions(stream_ms=stream_ms))
        for entry in reader:
            rendition.add(entry)
            count += 1
        rendition.finish()
        return count


def add_to_multivariant(text: str, address: str, group: str = "masks") -> str:
    """A multivariant playlist with the rendition at `address`, in every group of subtitles that it has, or in its own.

    Nobody's player chooses it by itself: it is text that only programs read. One that was added before is replaced.
    """
    before = [line for line in text.splitlines() if not (line.startswith("#EXT-X-MEDIA:") and _LABEL in line)]
    groups = dict.fromkeys(
        part.split('"')[0]
        for line in before
        if line.startswith("#EXT-X-STREAM-INF:")
        for part in line.split(f'{_NAME}="')[1:]
    ) or {group: None}
    media = [
        f'#EXT-X-MEDIA:TYPE={_NAME},GROUP-ID="{each}",{_LABEL},DEFAULT=NO,AUTOSELECT=NO,FORCED=NO,URI="{address}"'
        for each in groups
    ]
    lines, added = list[str](), False
    for line in before:
        if line.startswith("#EXT-X-STREAM-INF:"):
            if not added:
                lines += media
                added = True
            if f"{_NAME}=" not in line:
                line += f',{_NAME}="{group if group in groups else next(iter(groups))}"'
        lines.append(line)
    if not added:
        raise TrackError("expected a multivariant playlist, with EXT-X-STREAM-INF")
    return "\n".join(lines) + "\n"
