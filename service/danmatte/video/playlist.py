"""HLS and DASH playlists on disk: their segments, joined to one file to decode for each section.

libavformat's demuxers don't report where a section begins, support only one period of DASH, and lose frames at a second
`EXT-X-MAP`. So segments are joined here, and each section is opened separately.
"""

import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import m3u8

from danmatte.errors import TrackError

_FINE_LINES = 480  # height of a rendition that is enough for masks
_DURATION = re.compile(r"P(?:0+Y)?(?:0+M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?")
_VARIABLE = re.compile(r"\$(RepresentationID|Number|Time|Bandwidth)?(?:%0(\d+)d)?\$")
_MAX_SEGMENTS = 2**20
_HLS = (".m3u8", ".m3u")

Element: TypeAlias = ElementTree.Element


@dataclass(frozen=True)
class Part:
    """A byte range of a file; `length` is None for the rest of the file."""

    path: Path
    offset: int = 0
    length: int | None = None


@dataclass(frozen=True)
class Section:
    """A section of a playlist; its parts, joined, are one stream.

    `zero_s` is the time in the stream at which the playlist's clock is 0. It is None for HLS, where each section starts
    at the end of the previous one. `date_ms` is when its first frame was recorded, in ms since 1970, None if unknown.
    """

    parts: tuple[Part, ...]
    zero_s: float | None = None
    date_ms: int | None = None


class JoinedParts(io.RawIOBase):
    """Concatenated parts of files, as one file that can be read sequentially."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__()
        self.name = str(parts[0].path)
        self._chunks = _read_chunks(parts)
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; returns none at the end."""
        if not self._left:
            self._left = next(self._chunks, b"")
        taken, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return taken


def _read_chunks(parts: Sequence[Part]) -> Iterator[bytes]:
    for part in parts:
        with part.path.open("rb") as file:
            file.seek(part.offset)
            left = math.inf if part.length is None else part.length
            while left > 0 and (chunk := file.read(int(min(left, 2**18)))):
                left -= len(chunk)
                yield chunk


def is_playlist_name(name: str) -> bool:
    """Return whether a file name has a playlist's extension."""
    return name.lower().endswith((".m3u8", ".m3u", ".mpd"))


def list_named_files(path: Path) -> Iterator[Path]:
    """Yield the files that an HLS playlist names: segments, their initialization sections and other playlists.

    They may not exist. Yields nothing for a file that isn't an HLS playlist.
    """
    if path.suffix.lower() not in _HLS or not path.is_file():
        return
    try:
        playlist = m3u8.loads(path.read_text("utf-8"))
    except Exception:  # noqa: BLE001 - untrusted text, for which the library raises many kinds of errors
        return
    heads = [segment.init_section.uri for segment in playlist.segments if segment.init_section is not None]
    named = [
        each.uri for each in (*playlist.playlists, *playlist.iframe_playlists, *playlist.media, *playlist.segments)
    ]
    for uri in dict.fromkeys([*heads, *named]):
        with suppress(TrackError):  # raised for files on another machine
            if uri:
                yield Path(os.path.normpath(_find(path, uri)))


def read_sections(path: Path) -> tuple[Section, ...]:
    """Return the sections of a playlist; empty for any other file. Raises TrackError, also for missing segments."""
    if not is_playlist_name(path.name):
        return ()
    reader = _read_dash if path.suffix.lower() == ".mpd" else _read_hls
    try:
        sections = tuple(section for section in reader(path) if section.parts)
    except (OSError, ValueError, KeyError, ElementTree.ParseError) as error:
        raise TrackError(f"{path}: expected a playlist: {error}") from error
    if not sections:
        raise TrackError(f"{path}: expected video segments, received none")
    for part in (part for section in sections for part in section.parts):
        if not part.path.is_file():
            raise TrackError(f"{path}: expected the segment {part.path}, which doesn't exist")
    return sections


def _read_hls(path: Path) -> Iterator[Section]:
    """Yield the sections between discontinuities, which follow each other as in browsers (RFC 8216, 4.3.2.3)."""
    playlist = m3u8.loads(path.read_text("utf-8"))
    if playlist.is_variant:
        heights = {each.uri: (each.stream_info.resolution or (0, 0))[1] for each in playlist.playlists}
        rates = {each.uri: each.stream_info.bandwidth or 0 for each in playlist.playlists}
        yield from _read_hls(_find(path, _choose(heights, rates)))
        return
    parts, ends, dates, elapsed_s = list[Part](), dict[str, int](), list[int](), 0.0
    initial: tuple[str, str | None] | None = None
    for segment in playlist.segments:
        if segment.key is not None and segment.key.method not in (None, "NONE"):
            raise TrackError(f"{path}: expected segments that aren't encrypted, received {segment.key.method}")
        if segment.discontinuity and parts:
            yield Section(tuple(parts), date_ms=next(iter(dates), None))
            parts, initial, dates, elapsed_s = [], None, [], 0.0
        if segment.program_date_time:  # may be stated for a later segment than the section's first one
            dates.append(round(1000 * (segment.program_date_time.timestamp() - elapsed_s)))
        elapsed_s += segment.duration or 0.0
        head = segment.init_section
        if head is not None and (named := (head.uri, head.byterange)) != initial:
            parts.append(_cut(_find(path, head.uri), head.byterange, 0))
            initial = named
        parts.append(_cut(_find(path, segment.uri), segment.byterange, ends.get(segment.uri, 0)))
        ends[segment.uri] = parts[-1].offset + (parts[-1].length or 0)
    yield Section(tuple(parts), date_ms=next(iter(dates), None))


def _cut(path: Path, byte_range: str | None, follows: int) -> Part:
    """Return the part of a file for a byte range, `length@offset`; the default offset is `follows`."""
    if not byte_range:
        return Part(path)
    length, _, offset = byte_range.partition("@")
    return Part(path, int(offset or follows), int(length))


def _find(playlist: Path, uri: str) -> Path:
    """Return the file that a URI in a playlist refers to. Raises TrackError for a URI on another machine."""
    split = urlsplit(uri)
    if split.scheme not in ("", "file") or split.netloc:
        raise TrackError(f"{playlist}: expected segments on this disk, received {uri}")
    return playlist.parent / unquote(split.path)


def _choose(heights: dict[str, int], rates: dict[str, int]) -> str:
    """Return the rendition with the lowest bit rate that is fine enough for masks, otherwise the best."""
    fine = [name for name, height in heights.items() if height >= _FINE_LINES]
    return (
        min(fine, key=lambda name: rates[name]) if fine else max(heights, key=lambda name: (heights[name], rates[name]))
    )


def _read_dash(path: Path) -> Iterator[Section]:
    """Yield a section for every period; its times are presentation times (ISO/IEC 23009-1, 5.3.2)."""
    root = ElementTree.fromstring(path.read_bytes())
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    start_s = 0.0
    for period in root.findall("Period"):
        start_s = _read_duration(period.get("start")) if period.get("start") else start_s
        length_s = _read_duration(period.get("duration") or root.get("mediaPresentationDuration"))
        sets = [each for each in period.findall("AdaptationSet") if _is_picture(each)]
        chosen = {str(at): each for at, each in enumerate(sets[0].findall("Representation"))} if sets else {}
        if chosen:
            heights = {at: int(each.get("height") or sets[0].get("height") or 0) for at, each in chosen.items()}
            rates = {at: int(each.get("bandwidth") or 0) for at, each in chosen.items()}
            yield _read_representation(
                path, [root, period, sets[0], chosen[_choose(heights, rates)]], start_s, length_s
            )
        start_s += length_s


def _is_picture(adaptation_set: Element) -> bool:
    kinds = [adaptation_set.get("contentType"), adaptation_set.get("mimeType")]
    kinds += [each.get("mimeType") for each in adaptation_set.findall("Representation")]
    return any(kind and kind.startswith("video") for kind in kinds)


def _read_duration(text: str | None) -> float:
    """Return the seconds of a duration such as `PT1H2M3.5S`; 0 if there is none. Raises ValueError."""
    found = _DURATION.fullmatch(text or "PT0S")
    if found is None:
        raise ValueError(f"expected a duration, received {text!r}")
    return sum(float(value or 0) * unit for value, unit in zip(found.groups(), (86_400, 3600, 60, 1), strict=True))


def _read_representation(path: Path, levels: list[Element], start_s: float, length_s: float) -> Section:
    base = path
    for level in levels:
        if address := (level.findtext("BaseURL") or "").strip():
            base = _find(base, address + "index" * address.endswith("/"))  # a folder's URL ends in a slash
    facts: dict[str, str] = {}
    timeline: Element | None = None
    for level in levels[1:]:
        for each in (found for kind in ("SegmentTemplate", "SegmentBase") if (found := level.find(kind)) is not None):
            facts |= each.attrib
            timeline = each if each.find("SegmentTimeline") is not None else timeline
        if level.find("SegmentList") is not None:
            raise ValueError("expected a SegmentTemplate or one file, received a SegmentList")
    rate = int(facts.get("timescale", 1))
    zero_s = int(facts.get("presentationTimeOffset", 0)) / rate - start_s
    if "media" not in facts:
        return Section((Part(base),), zero_s)
    values = {"RepresentationID": levels[-1].get("id", ""), "Bandwidth": levels[-1].get("bandwidth", "")}
    parts = [Part(_find(base, _fill(facts["initialization"], values)))] if "initialization" in facts else []
    first = int(facts.get("startNumber", 1))
    times = _read_times(timeline, facts, length_s * rate)
    for number, time in enumerate(times, first):
        address = _fill(facts["media"], values | {"Number": str(number), "Time": str(time)})
        parts.append(Part(_find(base, address)))
    return Section(tuple(parts), zero_s)


def _read_times(timeline: Element | None, facts: dict[str, str], length: float) -> list[int]:
    """Return when each segment begins, in the representation's timescale."""
    if timeline is None:
        count = math.ceil(length / int(facts["duration"]))
        if count > _MAX_SEGMENTS:
            raise ValueError(f"expected at most {_MAX_SEGMENTS} segments, received {count}")
        return [at * int(facts["duration"]) for at in range(count)]
    times, time = list[int](), 0
    for run in timeline.iterfind("SegmentTimeline/S"):
        time = int(run.get("t", time))
        repeats = int(run.get("r", 0))
        if repeats < 0:
            repeats = math.ceil((length - time) / int(run.attrib["d"])) - 1
        if len(times) + repeats >= _MAX_SEGMENTS:
            raise ValueError(f"expected at most {_MAX_SEGMENTS} segments, received {len(times) + repeats}")
        for _ in range(repeats + 1):
            times.append(time)
            time += int(run.attrib["d"])
    return times


def _fill(template: str, values: dict[str, str]) -> str:
    """Return a segment's URL from its template (ISO/IEC 23009-1, 5.3.9.4.4)."""

    def put(found: re.Match[str]) -> str:
        if found[1] is None:
            return "$"
        return values[found[1]].zfill(int(found[2] or 0))

    return _VARIABLE.sub(put, template)
