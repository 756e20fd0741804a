"""A video's frames as they are shown: upright, with their own times, in an order that never goes back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.format import Flags
from av.stream import Disposition
from av.video.reformatter import ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from danmatte.errors import TrackError
from danmatte.frame import Pixels, Size

_RESTART_MS = 1000  # further back than this, the clock began anew; less is a frame out of order
_DISCONTINUOUS: int = Flags.ts_discont.value  # type: ignore[assignment] # a format whose clock may begin anew
_SHORT_MS = 1000  # a video that ends so much before the end that it states broke off
_DURATION = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)$")


def _compute_pq_curve() -> Pixels:
    """From PQ (SMPTE ST 2084) to the usual gamma: 203 nits are white on paper (ITU-R BT.2408), brighter is squeezed.

    256 levels in, 256 levels out.
    """
    root = (np.arange(256) / 255) ** (32 / 2523)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610) * 10_000 / 203
    squeezed = light * (1 + light / 25) / (1 + light)
    return (255 * np.clip(squeezed, 0, 1) ** (1 / 2.2) + 0.5).astype(np.uint8)


_CURVES = {int(ColorTrc.SMPTE2084): _compute_pq_curve()}  # hybrid log-gamma is made to be seen as it is


@dataclass(frozen=True)
class _Reformatters:
    """libswscale's set-up, kept from frame to frame: to make one anew takes longer than a small frame."""

    grey: VideoReformatter = field(default_factory=VideoReformatter)
    size: VideoReformatter = field(default_factory=VideoReformatter)
    colour: VideoReformatter = field(default_factory=VideoReformatter)
    detail_size: VideoReformatter = field(default_factory=VideoReformatter)
    detail_colour: VideoReformatter = field(default_factory=VideoReformatter)


@dataclass(frozen=True)
class DecodedFrame:
    """A frame whose pixels are still as the decoder left them; `pts_ms` is its own time, rounded.

    Its methods are for the thread that reads the frames.
    """

    pts_ms: int
    _frame: av.VideoFrame
    _turns: int
    _reformatters: _Reformatters

    def to_grey(self, size: Size) -> Pixels:
        """(H, W) uint8: its brightness at this size, upright."""
        high, wide = _turn_size(size, self._turns)
        scaled = self._reformatters.grey.reformat(self._frame, wide, high, format="gray", **_SCALING)
        return self._upright(scaled)

    def to_colours(self, size: Size, order: str) -> Pixels:
        """(H, W, 3) uint8 at this size, upright, `order` RGB or BGR; high dynamic range is brought to the usual one."""
        return self._convert(size, order, self._reformatters.size, self._reformatters.colour)

    def to_detail(self, size: Size, order: str) -> Pixels:
        """The same at a second size: both sizes stay the same for all frames, so that the set-up can be kept."""
        return self._convert(size, order, self._reformatters.detail_size, self._reformatters.detail_colour)

    def _convert(self, size: Size, order: str, scaler: VideoReformatter, painter: VideoReformatter) -> Pixels:
        high, wide = _turn_size(size, self._turns)
        # First the size, then the colours: both at once takes libswscale's slowest way.
        scaled = scaler.reformat(self._frame, wide, high, format="yuv420p", **_SCALING)
        coloured = painter.reformat(scaled, wide, high, format=f"{order.lower()}24", **_SCALING)
        curve = _CURVES.get(self._frame.color_trc)
        pixels = self._upright(coloured)
        return pixels if curve is None else cv2.LUT(pixels, curve)  # type: ignore[return-value]

    def _upright(self, frame: av.VideoFrame) -> Pixels:
        return np.ascontiguousarray(np.rot90(frame.to_ndarray(), self._turns))


_SCALING: dict[str, Any] = {"interpolation": Interpolation.AREA, "threads": 1}


class Video:
    """The first stream of pictures in a file; raises TrackError when there is none.

    `size` is that of its frames, upright, and `shown` the same in square pixels. Once the frames are all taken,
    `broken` says where they ended too early, and `dropped` how many came too late for their time.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.broken, self.dropped = path, "", 0
        self._container, self._stream = _open_stream(path)
        self._bad_packets = 0
        try:
            first = next(self._decode(), None)
            if first is None:
                raise TrackError(f"{path}: expected a frame that can be decoded, received none; {self.broken}")
        except TrackError:
            self.close()
            raise
        self._turns = round(first.rotation / 90) % 4
        ratio = self._stream.sample_aspect_ratio or Fraction(1)
        self.size = _turn_size(Size(first.height, first.width), self._turns)
        self.shown = _turn_size(Size(first.height, max(1, round(first.width * ratio))), self._turns)

    @property
    def end_ms(self) -> int | None:
        """When the pictures should end, as the file states it, None where it doesn't; sound may go on for longer."""
        stream, container = self._stream, self._container
        if stated := _DURATION.match(stream.metadata.get("DURATION", "")):  # as Matroska has it
            hours, minutes, seconds = map(float, stated.groups())
            return int(1000 * (3600 * hours + 60 * minutes + seconds))
        if stream.duration is not None and stream.time_base is not None:
            return int(((stream.start_time or 0) + stream.duration) * stream.time_base * 1000)
        if container.duration is not None:
            return int(((container.start_time or 0) + container.duration) / 1000)
        return None

    def read_frames(self, from_ms: int = 0) -> Iterator[DecodedFrame]:
        """The frames from `from_ms` on, each later than the one before; frames before 0 ms are left out."""
        self._rewind(from_ms)
        reformatters, clock, shown_ms = _Reformatters(), _FrameClock(self._stream.guessed_rate), 0
        for frame in self._decode():
            pts_ms = clock.step(frame.time)
            shown_ms = int((frame.duration or 0) * (frame.time_base or 0) * 1000)
            if pts_ms is None:
                self.dropped += 1
            elif pts_ms >= max(from_ms, 0):
                yield DecodedFrame(pts_ms, frame, self._turns, reformatters)
        self._note_break(clock.last_ms, shown_ms)

    def close(self) -> None:
        """Lets the file go."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _rewind(self, from_ms: int) -> None:
        """Goes back to the start, or near `from_ms` where times surely lead there."""
        self.broken, self.dropped, self._bad_packets = "", 0, 0
        if from_ms > 0 and not self._container.format.flags & _DISCONTINUOUS:
            # A container may land after the place that was asked for: the first frame there tells.
            first = next(self._decode(), None) if self._seek(from_ms) else None
            time_s: float | None = None if first is None else first.time  # None in some containers, whatever its type
            if time_s is not None and round(time_s * 1000) <= from_ms:
                self._seek(from_ms)
                return
            self.broken = ""
        if not self._seek(None):
            self._container.close()
            self._container, self._stream = _open_stream(self.path)

    def _seek(self, to_ms: int | None) -> bool:
        """Goes to the last keyframe before a time, or to the start; False where the container can't."""
        base, start = self._stream.time_base or Fraction(1, 1000), self._stream.start_time or 0
        try:
            place = start if to_ms is None else int(Fraction(to_ms, 1000) / base)
            self._container.seek(place, stream=self._stream)
        except av.FFmpegError:
            return False
        return True

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Whatever can be decoded; a packet that can't is left out, the end of what can be read is the end."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except av.FFmpegError:
                    self._bad_packets += 1
        except av.FFmpegError as error:
            self.broken = str(error)

    def _note_break(self, last_ms: int | None, shown_ms: int) -> None:
        """Says in `broken` why the last frame, shown for `shown_ms`, isn't the end, or which packets were left out."""
        short = last_ms is not None and self.end_ms is not None and self.end_ms - last_ms - shown_ms > _SHORT_MS
        if not (self.broken or short):
            self.broken = f"{self._bad_packets} packets couldn't be decoded" if self._bad_packets else ""
            return
        why = f" ({self.broken})" if self.broken else ""
        until = f"expected frames until {self.end_ms} ms, " if self.end_ms is not None else ""
        self.broken = f"{until}the last that can be read is at {last_ms} ms{why}"


class _FrameClock:
    """Times that grow: missing ones are guessed from the rate, a clock that began anew goes on after the last."""

    def __init__(self, rate: Fraction | None) -> None:
        self._gap_ms = float(1000 / (rate or 25))
        self._offset_ms = 0.0
        self.last_ms: int | None = None

    def step(self, time_s: float | None) -> int | None:
        """The time in ms of a frame that states this time, or none; None when it isn't later than the last one's."""
        last = self.last_ms
        guessed = 0.0 if last is None else last + self._gap_ms
        own = None if time_s is None else time_s * 1000 + self._offset_ms
        if own is not None and last is not None and own < last - _RESTART_MS:
            self._offset_ms += guessed - own
            own = guessed
        pts_ms = round(guessed if own is None else own)
        if last is not None and pts_ms <= last:
            return None
        self.last_ms = pts_ms
        return pts_ms


def _open_stream(path: Path) -> tuple[InputContainer, VideoStream]:
    """The container and its first stream of pictures that isn't a cover."""
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise TrackError(f"{path}: expected a video: {error}") from error
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.codec_context.thread_count = 1  # the cores are the network's
            return container, stream
    container.close()
    raise TrackError(f"{path}: expected a stream of pictures, received none")


def _turn_size(size: Size, turns: int) -> Size:
    return Size(size.width, size.height) if turns % 2 else size
