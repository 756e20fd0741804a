"""Masks as a WebVTT rendition of HLS (RFC 8216, 3.5), whose segments are beside the video's, on demand or live."""

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
_TICKS = 90  # of MPEG-TS, per millisecond
_WRAP = 2**33
_NAME = "SUBTITLES"
_LABEL = 'NAME="masks",LANGUAGE="zxx"'


class HlsSegment(NamedTuple):
    """A segment's file name, start and end."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class RenditionOptions:
    """The options of a rendition.

    `segment_ms` is the length of a segment; `window` the number of segments that a live playlist lists, None for video
    on demand. `stream_ms` is the stream's timestamp at time 0 of the masks, which players subtract. `date_ms` is the
    date of time 0, in ms since 1970, if it is known.
    """

    segment_ms: int = SEGMENT_MS
    window: int | None = None
    stream_ms: int = 0
    date_ms: int | None = None


class Rendition:
    """A writer of a playlist at `path` and its segments beside it; masks must be added in order of time.

    A live playlist is rewritten after each segment with the newest ones, and segments that players no longer need are
    deleted. If an earlier live playlist exists, segment numbers continue after its last one (RFC 8216, 6.2.2: they must
    never decrease), and its segments are deleted. A mask that is shown across the end of a segment is in both segments.
    Raises TrackError if a file can't be written.
    """

    def __init__(self, path: Path, header: TrackHeader, options: RenditionOptions) -> None:
        self.path, self._options = path, options
        self._recorder = CueRecorder(header.polarity)
        self._segments = deque[HlsSegment]()
        # segments of an earlier run, which a supervisor may have restarted
        self._old = _find_segments(path) if options.window is not None else {}
        self._number = max(self._old, default=-1) + 1  # of the first segment that is listed
        self._start_ms: int | None = None
        self._cues = list[bytes]()
        self._newest: Entry | None = None

    @property
    def has_masks(self) -> bool:
        """Whether any mask was added."""
        return self._newest is not None

    def add(self, entry: Entry) -> None:
        """Add the next mask, which is shown until the following one, in a live rendition for a second at most."""
        if self._newest:
            if entry.pts_ms <= self._newest.pts_ms:
                raise TrackError(f"pts: expected more than {self._newest.pts_ms} ms, received {entry.pts_ms}")
            self._record(self._newest, entry.pts_ms)
        elif self._start_ms is None:
            # At a whole multiple of the segments' length, so that boundaries don't depend on the first mask.
            self._start_ms = entry.pts_ms // self._options.segment_ms * self._options.segment_ms
        self._newest = entry

    def finish(self) -> None:
        """Write the last segment, and mark the playlist as ended."""
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
        shown_ms = min(until_ms, entry.pts_ms + LAST_MS) if is_live else until_ms  # a longer gap means lost frames
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
        # As many unlisted segments stay on disk, because a player may still be reading one of them.
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
    """Return the segments of a playlist on disk, by their numbers."""
    named = re.compile(rf"{re.escape(path.stem)}-(\d{{6,15}})\.vtt", re.ASCII)
    try:
        found = [(named.fullmatch(file.name), file) for file in path.parent.iterdir()]
    except OSError:  # the first write will report the error
        return {}
    return {int(match[1]): file for match, file in found if match}


def _format_date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically, so that no player reads a part of it."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise TrackError(f"{path}: can't be written: {error.strerror}") from error


def write_rendition(source: Path, target: Path) -> int:
    """Write a track as an on-demand rendition, and return the number of masks; raises TrackError.

    If the video was a playlist of transport streams, the track has the stream's timestamps, and players align the masks
    by them.
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
    """Return a multivariant playlist with the rendition at `address` in every subtitle group, or in a new `group`.

    Players don't select it automatically, because it is only for programs. A rendition that was added before is
    replaced.
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
