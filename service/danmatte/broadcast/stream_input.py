"""An incoming stream by RTMP, HLS, UDP, a pipe or from a file: its packets and decoded pictures."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, cast

import av
from av.container import InputContainer
from av.format import Flags
from av.stream import Stream
from av.video.stream import VideoStream

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.video.decoded_frame import DecodedFrame, Reformatters
from danmatte.video.limits import check_frame, limit_stream
from danmatte.video.orientation import Orientation
from danmatte.video.packets import read_packets
from danmatte.video.picture_stream import choose_pictures, explain, locate
from danmatte.video.reader import Video

Packet: TypeAlias = "av.Packet[Stream]"
TIMEOUT_S = 10.0  # without a byte, after which a stream counts as dead
RECONNECT_S = 30.0
_RETRY_S = (0.25, 4.0)  # first and longest wait between two attempts to reconnect
_RESTART_MS = 1000  # if times go back further than this, the stream's clock was reset
_REPEATED_MS = 60_000  # the same after a reconnect, because a sender may repeat what it has buffered
_RECONNECTABLE = ("rtmp", "rtmps", "rtsp", "http", "https", "tcp")  # protocols that can reconnect
_LIVE = (*_RECONNECTABLE, "srt", "udp", "rtp", "pipe")
_NO_TIMES: int = Flags.no_timestamps.value  # type: ignore[assignment]
_USUAL_RATE = 25  # frames a second, if the stream doesn't state a rate
_SRT = (
    "this libavformat doesn't support SRT; pipe it: srt-live-transmit ADDRESS file://con | danmatte live pipe:0 TARGET"
)


@dataclass(frozen=True)
class Arrival:
    """A packet and the pictures that the decoder returned for it, upright; their `pts_ms` is the stream's time."""

    packet: Packet = field(repr=False)
    frames: tuple[DecodedFrame, ...]


class StreamInput:
    """A stream with pictures; raises TrackError if there is none, or if the stream is interrupted.

    A file is read no faster than it would be played: `sleep` waits between packets, by their time since the first one,
    so that errors don't accumulate over hours.

    After an interruption, it tries to reconnect for `reconnect_s`. Repeated packets are then skipped, and times
    continue as the sender states them. `reconnects` counts successful attempts.
    """

    def __init__(
        self,
        source: str,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        *,
        reconnect_s: float = RECONNECT_S,
    ) -> None:
        self.source, self._clock, self._sleep, self._reconnect_s = source, clock, sleep, reconnect_s
        self._place = locate(source)
        protocol = self._place.partition(":")[0]
        self.is_live, self._can_reconnect = protocol in _LIVE, protocol in _RECONNECTABLE
        self._over = threading.Event()
        self._is_read = False
        self._container, self._stream = self._open()
        self._orientation: Orientation | None = None  # None if it can't be read in advance, as from a pipe
        if Path(self._place).is_file():
            with suppress(TrackError), Video(Path(self._place)) as video:
                self._orientation = video.orientation
        self._is_untimed = bool(self._container.format.flags & _NO_TIMES)
        self._gap_ms = float(1000 / (self._stream.guessed_rate or _USUAL_RATE))
        self._counted = self._shown_frames = 0
        self.frames_back = 0  # frames that were skipped because their time isn't after the previous frame's
        self.reconnects = 0
        self._last_ms: int | None = None
        self._last_dts = dict[int, float]()  # of each stream's packets, in seconds
        self._reformatters = Reformatters()

    @property
    def picture(self) -> VideoStream:
        """The stream of pictures."""
        return self._stream

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The picture stream and the audio streams, in the order in which a relay sends them."""
        return (self._stream, *self._container.streams.audio)

    @property
    def shown(self) -> Size:
        """The size of the pictures as players show them, in square pixels; upright if the orientation is known."""
        wide = max(1, round(self._stream.width * (self._stream.sample_aspect_ratio or 1)))
        size = Size(self._stream.height, wide)
        return self._orientation.turn_size(size) if self._orientation else size

    def read(self) -> Iterator[Arrival]:
        """Yield packets as they arrive, until the stream ends."""
        self._is_read = True
        try:
            yield from self._read_connections()
        finally:
            self._is_read = False

    def _read_connections(self) -> Iterator[Arrival]:
        while True:
            broken: Exception | None = None
            try:
                yield from self._read_connection()
            except (av.FFmpegError, OSError) as error:
                broken = error
            is_playlist = self._can_reconnect and self._container.format.name == "hls"
            # libavformat also ends a playlist when its server dies; one without an end has no duration.
            if broken is None and not (is_playlist and self._container.duration is None):
                return
            self._reconnect(broken)
            if self._over.is_set():
                return

    def end(self) -> None:
        """Stop trying to reconnect; may be called from another thread."""
        self._over.set()

    def _read_connection(self) -> Iterator[Arrival]:
        """Yield packets until the sender ends the stream or the connection is lost."""
        began: tuple[float, float] | None = None
        for packet in read_packets(self._container, *self.streams):
            time_s = self._tell_time(packet)
            if time_s is not None and not self.is_live:
                began = began or (self._clock(), time_s)
                wait_s = began[0] + time_s - began[1] - self._clock()
                if wait_s > TIMEOUT_S:  # a wrong time or a gap: don't wait for it
                    began, wait_s = (self._clock(), time_s), 0.0
                self._sleep(max(0.0, wait_s))
            number = packet.stream.index
            frames = tuple(self._decode(packet)) if number == self._stream.index else ()
            if time_s is not None and self.reconnects and time_s <= self._last_dts.get(number, -inf):
                continue  # a repeated packet; it was still decoded, because later pictures may refer to it
            if time_s is not None:
                self._last_dts[number] = time_s
            yield Arrival(packet, frames)

    def _tell_time(self, packet: Packet) -> float | None:
        """Return a packet's decoding time in seconds; counted for formats without times, such as raw H.264."""
        if packet.dts is not None:
            return float(packet.dts * packet.time_base)
        if not self._is_untimed or not packet.size:
            return None
        self._counted += 1
        return (self._counted - 1) * self._gap_ms / 1000

    def _reconnect(self, broken: Exception | None) -> None:
        """Open the stream again; raises TrackError after `reconnect_s`, or if the protocol can't reconnect."""
        why = broken or "it stopped without an end"
        until, wait_s = self._clock() + self._reconnect_s, _RETRY_S[0]
        while self._can_reconnect and not self._over.is_set() and self._clock() < until:
            self._sleep(wait_s)
            wait_s = min(2 * wait_s, _RETRY_S[1])
            try:
                container, stream = self._open()
            except TrackError as error:
                why = error
                continue
            self._container.close()
            self._container, self._stream = container, stream
            self.reconnects += 1
            return
        if not self._over.is_set():
            raise TrackError(f"{self.source}: expected the stream to continue: {why}") from broken

    def close(self) -> None:
        """Close the stream, unless a blocked thread still reads it."""
        if not self._is_read:
            self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        try:
            container = av.open(self._place, mode="r", timeout=TIMEOUT_S, metadata_errors="replace")
        except (av.FFmpegError, OSError, ValueError) as error:
            hint = f"; {_SRT}" if isinstance(error, av.ProtocolNotFoundError) and self.source.startswith("srt:") else ""
            raise TrackError(f"{self.source}: expected a stream: {explain(error)}{hint}") from error
        try:
            stream = choose_pictures(container, self.source)
            stream.codec_context.thread_count = 1  # to leave the cores to the network
            limit_stream(stream, self.source)
        except TrackError:
            container.close()
            raise
        return container, stream

    def _decode(self, packet: Packet) -> Iterator[DecodedFrame]:
        try:
            frames = cast(list[av.VideoFrame], packet.decode())
        except av.FFmpegError:
            return  # a stream that was joined in the middle starts with packets that can't be decoded
        for frame in frames:
            time_s = cast(float | None, frame.time)  # None in some containers
            last_ms = self._last_ms
            if time_s is not None:
                pts_ms = max(0, round(1000 * time_s))
            elif self._is_untimed:
                pts_ms = round(self._shown_frames * self._gap_ms)
            else:
                continue
            self._shown_frames += 1
            least_ms = -1 if last_ms is None else last_ms - (_REPEATED_MS if self.reconnects else _RESTART_MS)
            if pts_ms < least_ms:
                raise TrackError(
                    f"{self.source}: expected times after {last_ms} ms, received {pts_ms} ms: the clock was reset"
                )
            if last_ms is not None and pts_ms <= last_ms:
                self.frames_back += not self.reconnects
                continue
            self._last_ms = pts_ms
            orientation = self._orientation or Orientation.of(frame)
            yield DecodedFrame(pts_ms, check_frame(frame, self.source), orientation, self._reformatters)
