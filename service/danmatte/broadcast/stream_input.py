"""A stream that comes in by RTMP, HLS, UDP, a pipe or from a file: its packets, and the pictures decoded of them."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias, cast

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.video.orientation import Orientation
from danmatte.video.reader import DecodedFrame, Reformatters

Packet: TypeAlias = "av.Packet[Stream]"
TIMEOUT_S = 10.0  # without a byte, a stream is dead
_RESTART_MS = 1000  # further back than this, the stream's clock began anew
_LIVE = ("rtmp", "rtmps", "rtsp", "srt", "udp", "rtp", "http", "https", "tcp", "pipe")
_SRT = "libavformat here knows no SRT; pipe it: srt-live-transmit ADDRESS file://con | danmatte live pipe:0 TARGET"


@dataclass(frozen=True)
class Arrival:
    """A packet and the pictures that came out with it, upright; `pts_ms` of these is the stream's own time."""

    packet: Packet = field(repr=False)
    frames: tuple[DecodedFrame, ...]


class StreamInput:
    """A stream with pictures; raises TrackError where there is none, and where it breaks off.

    What is neither an address of the network nor a pipe is read no faster than it would be played: `sleep` waits
    between packets, by the distance from the first one, so that nothing adds up over hours.
    """

    def __init__(
        self, source: str, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.source, self._clock, self._sleep = source, clock, sleep
        self.is_live = source.partition(":")[0] in _LIVE
        self._container, self._stream = self._open()
        self.frames_back = 0  # that came too late for their time
        self._last_ms: int | None = None
        self._reformatters = Reformatters()

    @property
    def picture(self) -> VideoStream:
        """The stream of pictures."""
        return self._stream

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The stream of pictures and those of sound, as they are passed on."""
        return (self._stream, *self._container.streams.audio)

    @property
    def size(self) -> Size:
        """The stored pictures' size."""
        return Size(self._stream.height, self._stream.width)

    def read(self) -> Iterator[Arrival]:
        """Packets as they come, to the stream's end."""
        began: tuple[float, float] | None = None
        try:
            for packet in self._container.demux(*self.streams):
                time_s = None if packet.dts is None else float(packet.dts * packet.time_base)
                if time_s is not None and not self.is_live:
                    began = began or (self._clock(), time_s)
                    self._sleep(max(0.0, began[0] + time_s - began[1] - self._clock()))
                frames = self._decode(packet) if packet.stream.index == self._stream.index else ()
                yield Arrival(packet, tuple(frames))
        except (av.FFmpegError, OSError) as error:
            raise TrackError(f"{self.source}: expected the stream to go on: {error}") from error

    def close(self) -> None:
        """Lets the stream go."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        try:
            container = av.open(self.source, mode="r", timeout=TIMEOUT_S, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            hint = f"; {_SRT}" if isinstance(error, av.ProtocolNotFoundError) and self.source.startswith("srt:") else ""
            raise TrackError(f"{self.source}: expected a stream: {error}{hint}") from error
        if not container.streams.video:
            container.close()
            raise TrackError(f"{self.source}: expected a stream of pictures, received none")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # the cores are the network's
        return container, stream

    def _decode(self, packet: Packet) -> Iterator[DecodedFrame]:
        try:
            frames = cast(list[av.VideoFrame], packet.decode())
        except av.FFmpegError:
            return  # a stream that is joined in the middle begins with packets that can't be decoded
        for frame in frames:
            time_s = cast(float | None, frame.time)  # None in some containers
            if time_s is None:
                continue
            pts_ms = max(0, round(1000 * time_s))
            last_ms = self._last_ms
            if last_ms is not None and pts_ms < last_ms - _RESTART_MS:
                raise TrackError(f"{self.source}: expected times after {last_ms} ms, the clock began anew at {pts_ms}")
            if last_ms is not None and pts_ms <= last_ms:
                self.frames_back += 1
                continue
            self._last_ms = pts_ms
            yield DecodedFrame(pts_ms, frame, Orientation.of(frame), self._reformatters)
