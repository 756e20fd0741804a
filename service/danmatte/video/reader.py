"""Reading a video's frames as players show them: upright, on the player's clock, with increasing times."""

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from fractions import Fraction
from itertools import islice
from math import inf, isnan, nan
from pathlib import Path, PurePath
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, TypeAlias, cast

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import Flags
from av.video.stream import VideoStream

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.video.decoded_frame import DecodedFrame, Reformatters
from danmatte.video.edit_lists import measure_early
from danmatte.video.limits import check_frame, limit_stream
from danmatte.video.orientation import Orientation, read_stated_orientation
from danmatte.video.packets import read_packets
from danmatte.video.picture_stream import (
    check_file,
    check_moving,
    choose_pictures,
    describe_refusal,
    explain,
    has_changed,
)
from danmatte.video.playlist import JoinedParts, read_sections

ClockName: TypeAlias = Literal["media", "file"]

_RESTART_MS = 1000  # a larger step back means that the clock was reset, a smaller one that a frame is out of order
_DISCONTINUOUS: int = Flags.ts_discont.value  # type: ignore[assignment] # a format whose clock may be reset
# In these, browsers keep a start other than 0; pages that play other formats don't.
_BROWSERS_PLAY = frozenset({"mp4", "webm", "ogg"})
_MAX_UNTIMED = 1000  # frames without a time that are read in search of the first one with a time
_DEFAULT_RATE = 25  # frames per second, if unknown
_SHORT_MS = 1000  # a video that ends this much before its stated end is truncated
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)$")


class Video:
    """The video stream of a file that players show; raises TrackError if there is none.

    It is read from `path`, or from an open `file`, for which `path` is only a name and which `close` closes. `clock`
    selects a player's times or the file's own. `size` is the size of the frames, upright by their `orientation`;
    `shown` is the same in square pixels, by `pixel_ratio`.

    `first_ms` is the first frame's time, and `coded_ms` that of the first stored frame, which an edit list may skip.
    `origin_ms` is where Firefox's clock is 0: at the first sound or frame, as Firefox reads edit lists. `scripted_ms`
    is the first frame's time in players that join HLS segments by script; their clock starts at the first decoding
    time.

    `bad_packets` counts the packets that couldn't be decoded so far. After all frames were read, `broken` says which
    frames were lost, `dropped` counts frames that weren't later than the previous one, `before_start` counts those
    before 0 ms, which no player shows, and `ended_ms` is the end of the last one. `sections` contains each section of a
    playlist: its start in ms, and the stream's own time there. `note_frame` is called for every decoded frame, also for
    frames that are skipped on the way to a later one.
    """

    def __init__(self, path: PurePath, clock: ClockName = "media", file: BinaryIO | None = None) -> None:
        self.path, self.clock, self.broken, self.dropped, self.before_start = path, clock, "", 0, 0
        self.ended_ms = 0
        self._file = file
        self._state = None if file else check_file(path)
        self.note_frame: Callable[[], object] = lambda: None
        self._sections, self._number = () if file else read_sections(Path(path)), 0
        self._container, self._stream = self._open_stream()
        self.bad_packets, self._lost_start = 0, ""
        self._first_s, self._coded_s, self._lead_s = 0.0, inf, nan
        try:
            first = self._look_at_start()
        except TrackError:
            self.close()
            raise
        self._zero_s = self._choose_zero(0.0) if clock == "media" else 0.0
        self._start_s, self.sections = self._first_s, list[tuple[int, int]]()
        self.first_ms = max(0, round(1000 * (self._first_s - self._zero_s)))
        self.coded_ms = round(1000 * (self._coded_s - self._zero_s))
        is_hls = bool(self._sections) and self._sections[0].zero_s is None
        self.scripted_ms = round(1000 * self._lead_s) if is_hls and clock == "media" else self.first_ms
        self.date_ms = self._sections[0].date_ms if is_hls else None
        self.origin_ms = round(1000 * (self._find_origin() - self._zero_s))
        self.orientation = Orientation.of(first)
        if self.orientation != Orientation():
            self._open(self._number)
            self.orientation = read_stated_orientation(self._container, self._stream, self.orientation)
        self.pixel_ratio = self._stream.sample_aspect_ratio or Fraction(1)
        self.size = self.orientation.turn_size(Size(first.height, first.width))
        self.shown = self.orientation.turn_size(Size(first.height, max(1, round(first.width * self.pixel_ratio))))

    def _find_origin(self) -> float:
        """Return where Firefox's clock is 0, in the stream's seconds: the first sound or frame by its edit lists."""
        early = dict[int, float]()
        if not self._sections and "mp4" in self._container.format.name.split(","):
            with suppress(OSError), nullcontext(self._file) if self._file else Path(self.path).open("rb") as file:
                place = file.tell()
                early = measure_early(file)
                file.seek(place)
        own = early.get(self._stream.id, 0.0)
        sounds = [_read_start(sound) - early.get(sound.id, 0.0) for sound in self._container.streams.audio]
        return own + min([self._coded_s - own, *sounds])

    def _choose_zero(self, so_far_s: float) -> float:
        """Return the time in the open stream at which the player's clock is 0; later sections start at `so_far_s`."""
        playable = _BROWSERS_PLAY.intersection(self._container.format.name.split(","))
        if not self._sections:
            return 0.0 if playable else self._first_s
        zero_s = self._sections[self._number].zero_s
        if zero_s is not None:
            return zero_s
        # Chromium starts each section at its first frame, but keeps the times of a first section of MP4 with sound.
        return 0.0 if playable and self._container.streams.audio and not so_far_s else self._first_s - so_far_s

    def _look_at_start(self) -> av.VideoFrame:
        """Return the first frame, and store its time and whether frames before it were lost."""
        rate, stream = self._stream.guessed_rate or _DEFAULT_RATE, self._stream
        first, first_s, self._coded_s, self._lead_s = None, None, inf, nan
        # Some containers omit times before 0, although the type doesn't allow None: count back from the first time.
        for untimed, frame in enumerate(islice(self._decode(), _MAX_UNTIMED)):
            first, time_s = first or frame, cast(float | None, frame.time)
            if time_s is not None:
                first_s = time_s - float(untimed / rate)
                break
        if first is None:
            why = self.broken or f"{self.bad_packets} packets of {stream.codec_context.name} couldn't be decoded"
            raise TrackError(f"{self.path}: expected frames that can be decoded, received none: {why}")
        self._first_s = first_s or 0.0
        # For Firefox, frames that an edit list skips count, but frames that the container has before 0 don't.
        self._coded_s = min(self._first_s, self._coded_s) if self._first_s >= 0 else 0.0
        stated_s = _read_start(stream)
        lost = stream.start_time is not None and self._first_s - stated_s > 1.5 / rate
        words = f"expected frames from {1000 * stated_s:.0f} ms on, the first that can be read is at"
        self._lost_start = f"{words} {1000 * self._first_s:.0f} ms" if lost else ""
        return first

    @property
    def rate(self) -> float:
        """Frames per second, as stated by the file or guessed by FFmpeg."""
        return float(self._stream.guessed_rate or _DEFAULT_RATE)

    @property
    def end_ms(self) -> int | None:
        """The stated end of the pictures, None if the file doesn't state it; sound may be longer."""
        if self._sections:
            return None  # because playlists state rounded lengths of segments
        stream, container = self._stream, self._container
        if stated := _DURATION.match(stream.metadata.get("DURATION", "")):  # in Matroska
            hours, minutes, seconds = map(float, stated.groups())
            end_s = 3600 * hours + 60 * minutes + seconds
        elif stream.duration is not None and stream.time_base is not None:
            end_s = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
        elif container.duration is not None:
            end_s = ((container.start_time or 0) + container.duration) / 1_000_000
        else:
            return None
        return int(1000 * (end_s - self._zero_s))

    @property
    def file_end_ms(self) -> int | None:
        """The stated end of the file, including sound; None if the container doesn't state it, and for playlists."""
        container = self._container
        if self._sections or container.duration is None:
            return None
        return int(((container.start_time or 0) + container.duration) / 1000 - 1000 * self._zero_s)

    @property
    def may_seek(self) -> bool:
        """Whether seeking by time is reliable; if not, the file is always decoded from its start."""
        return not self._sections and not self._container.format.flags & _DISCONTINUOUS

    def read_frames(self, from_ms: int = 0) -> Iterator[DecodedFrame]:
        """Yield the frames from `from_ms` on, with increasing times; the frame shown at 0 ms gets the time 0."""
        clock = _FrameClock(self._stream.guessed_rate, 1000 * self._zero_s, 1000 * self._start_s)
        self._rewind(from_ms)
        reformatters, shown_ms = Reformatters(), 0
        early: av.VideoFrame | None = None
        for frame in self._decode_sections(clock):
            pts_ms = clock.step(frame.time)
            shown_ms = int((frame.duration or 0) * (frame.time_base or 0) * 1000)
            if pts_ms is None:
                self.dropped += 1
            elif pts_ms < 0:
                early = frame
                self.before_start += 1
            elif pts_ms >= from_ms:
                if early is not None and pts_ms > 0:
                    self.before_start -= 1
                    yield DecodedFrame(0, early, self.orientation, reformatters)
                early = None
                yield DecodedFrame(pts_ms, frame, self.orientation, reformatters)
        self.ended_ms = (clock.last_ms or 0) + shown_ms if shown_ms else round(1000 * clock.until_s)
        self._note_break(clock.last_ms, shown_ms)

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        if self._file:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode_sections(self, clock: "_FrameClock") -> Iterator[av.VideoFrame]:
        """Yield the frames of every section, and set the clock where each begins."""
        self.sections = [(self.first_ms, round(1000 * self._start_s))] if self._sections else []
        yield from self._decode()
        while self._number + 1 < len(self._sections):
            self._open(self._number + 1)
            self._look_at_start()
            zero_s = self._choose_zero(clock.until_s) if self.clock == "media" else self._first_s - clock.until_s
            self.sections.append((round(1000 * (self._first_s - zero_s)), round(1000 * self._first_s)))
            clock.begin_section(1000 * zero_s)
            self._open(self._number)
            yield from self._decode()

    def _open(self, number: int = 0) -> None:
        """Reopen the file, or open another section of it."""
        self._container.close()
        self._number = number
        self._container, self._stream = self._open_stream()

    def _open_stream(self) -> tuple[InputContainer, VideoStream]:
        """Open the container; return it and the video stream that players show. Raises TrackError."""
        source: Any = str(Path(self.path).absolute())  # otherwise 12:30.mp4 would be a URL of the protocol 12
        if self._sections:
            source = JoinedParts(self._sections[self._number].parts)
        elif self._file:
            self._file.seek(0)
            source = self._file
        try:
            container = av.open(source, mode="r", metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            why = f"expected video segments: {explain(error)}"
            if not self._sections:
                why = describe_refusal(error, self.path, self._file)
            raise TrackError(f"{self.path}: {why}") from error
        try:
            check_moving(container, self.path)
            stream = choose_pictures(container, self.path)
            stream.codec_context.thread_count = 1  # leaves the other cores to the network
            limit_stream(stream, self.path)
        except TrackError:
            container.close()
            raise
        return container, stream

    def _rewind(self, from_ms: int) -> None:
        """Seek to the keyframe before `from_ms` if that is reliable; otherwise reopen the file.

        The start is never sought, because in transport streams that loses the frames before the second keyframe.
        """
        self.broken, self.dropped, self.before_start, self.bad_packets = "", 0, 0, 0
        if from_ms > 0 and self.may_seek:
            # A seek may land after the requested time; the first frame there shows whether it does.
            place_s = from_ms / 1000 + self._zero_s
            first = next(self._decode(), None) if self._seek(place_s) else None
            time_s = None if first is None else cast(float | None, first.time)  # None in some containers
            if time_s is not None and round(1000 * time_s) <= round(1000 * place_s):
                self._seek(place_s)
                return
            self.broken = ""
        self._open()

    def _seek(self, to_s: float) -> bool:
        """Seek to the last keyframe before a time; return False if the container can't seek."""
        try:
            self._container.seek(int(to_s / (self._stream.time_base or Fraction(1, 1000))), stream=self._stream)
        except av.FFmpegError:
            return False
        return True

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yield every frame that can be decoded; bad packets are skipped, and a read error ends the frames."""
        try:
            for packet in read_packets(self._container, self._stream):
                if packet.pts is not None and packet.time_base is not None:
                    if packet.is_discard:
                        self._coded_s = min(self._coded_s, float(packet.pts * packet.time_base))
                    if isnan(self._lead_s):
                        self._lead_s = float((packet.pts - (packet.dts or 0)) * packet.time_base)
                try:
                    frames = cast(list[av.VideoFrame], packet.decode())
                except av.FFmpegError:
                    self.bad_packets += 1
                    continue
                for frame in frames:
                    self.note_frame()
                    yield check_frame(frame, self.path)
        except av.FFmpegError as error:
            self.broken = str(error)

    def _note_break(self, last_ms: int | None, shown_ms: int) -> None:
        """Set `broken` to what is missing before, between or after the frames; the last is shown for `shown_ms`."""
        short = last_ms is not None and self.end_ms is not None and self.end_ms - last_ms - shown_ms > _SHORT_MS
        if self.broken or short:
            why = f" ({self.broken})" if self.broken else ""
            until = f"expected frames until {self.end_ms} ms, " if self.end_ms is not None else ""
            self.broken = f"{until}the last that can be read is at {last_ms} ms{why}"
        elif self.bad_packets:
            self.broken = f"{self.bad_packets} packets couldn't be decoded"
        changed = ""
        if self._state and has_changed(self.path, self._state):
            changed = "expected a file that doesn't change, but it changed while it was read"
        self.broken = "; ".join(filter(None, [self._lost_start, self.broken, changed]))


class _FrameClock:
    """A clock whose times increase and are 0 at `zero_ms` of the file.

    Missing times are guessed from the rate, starting at `first_ms`. If the file's clock is reset, the times continue
    after the last one.
    """

    def __init__(self, rate: Fraction | None, zero_ms: float = 0.0, first_ms: float = 0.0) -> None:
        self._gap_ms = float(1000 / (rate or _DEFAULT_RATE))
        self._offset_ms, self._first_ms = -zero_ms, first_ms - zero_ms
        self._exact_ms = 0.0
        self.last_ms: int | None = None

    @property
    def until_s(self) -> float:
        """The end of the last frame, in seconds, by the frame rate."""
        return (self._exact_ms + self._gap_ms) / 1000

    def begin_section(self, zero_ms: float) -> None:
        """Set where the file's times are 0 from now on."""
        self._offset_ms = -zero_ms

    def step(self, time_s: float | None) -> int | None:
        """Return the time in ms of a frame with this stated time, or none; None if it isn't later than the last one."""
        last = self.last_ms
        guessed = self._first_ms if last is None else last + self._gap_ms
        own = None if time_s is None else time_s * 1000 + self._offset_ms
        if own is not None and last is not None and own < last - _RESTART_MS:
            self._offset_ms += guessed - own
            own = guessed
        exact_ms = guessed if own is None else own
        pts_ms = round(exact_ms)
        if last is not None and pts_ms <= last:
            return None
        self.last_ms, self._exact_ms = pts_ms, exact_ms
        return pts_ms


def _read_start(stream: VideoStream | AudioStream) -> float:
    """Return the stated start of a stream in seconds; 0 if the container doesn't state it."""
    return float((stream.start_time or 0) * (stream.time_base or Fraction(0)))
