"""A relay of a stream with embedded masks: each packet is delayed by a fixed time, and gets its picture's mask."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple, Self

import av
import msgspec
from av.stream import Stream

from danmatte.broadcast.sei import insert_message, read_length_bytes
from danmatte.broadcast.stream_input import TIMEOUT_S, Packet
from danmatte.errors import TrackError
from danmatte.tracks import Entry
from danmatte.tracks.formats.vtt import describe_mask
from danmatte.video.picture_stream import explain, locate

DELAY_S = 0.5
_MAX_MASKS = 512
_LOOK_S = 0.2
_FORMATS = {"rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "tcp": "mpegts", "pipe": "mpegts"}


class _Held(NamedTuple):
    packet: Packet
    arrived: float


class Relay:
    """Sends packets to a file, a pipe, or an RTMP or UDP address, `delay_s` after they arrived; only H.264.

    A mask that is ready by then is added to its picture's packet as a message. Packets and masks may come from two
    threads. Raises TrackError, at the end also if an address accepts no more data.
    """

    def __init__(
        self,
        target: str,
        streams: Sequence[Stream],
        *,
        delay_s: float = DELAY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target, self._delay_s, self._clock = target, delay_s, clock
        picture = streams[0]
        if picture.codec_context.name != "h264":
            raise TrackError(f"{target}: expected H.264 to embed masks in, received {picture.codec_context.name}")
        self._picture, self._lengths = picture.index, read_length_bytes(picture.codec_context.extradata)
        self._held, self._payloads = deque[_Held](), dict[int, bytes]()
        self._alone, self._passing = threading.Lock(), threading.Lock()
        self._may_stall = target.partition(":")[0] in _FORMATS
        self._since: float | None = None  # `time.monotonic()` at the start of the write in progress
        self._is_over = False
        self.masks = 0
        try:
            self._container = av.open(locate(target), "w", format=_FORMATS.get(target.partition(":")[0]))
            self._copies = {each.index: self._container.add_stream_from_template(each) for each in streams}
            self._container.start_encoding()  # now, so that an unusable target is reported at once
        except (av.FFmpegError, OSError, ValueError) as error:
            raise TrackError(f"{target}: expected a target that accepts the stream: {explain(error)}") from error

    def add(self, entry: Entry) -> None:
        """Add a mask, which is sent with its picture's packet unless that has already been sent."""
        payload = msgspec.json.encode(describe_mask(entry, "person"))
        with self._alone:
            self._payloads[entry.pts_ms] = payload
            while len(self._payloads) > _MAX_MASKS:
                del self._payloads[next(iter(self._payloads))]

    @property
    def stalled_s(self) -> float:
        """How long the write in progress has been blocked, in seconds; 0 for a file, which may be slow."""
        since = self._since
        return time.monotonic() - since if since is not None and self._may_stall else 0.0

    def explain_stall(self) -> TrackError:
        """Return the error of a target that accepts no more data."""
        return TrackError(f"{self.target}: expected the target to accept data, it has not for {TIMEOUT_S:g} s")

    def pass_on(self, packet: Packet) -> None:
        """Queue a packet, and send those whose delay has passed; packets after `finish` are ignored."""
        with self._passing:
            now = self._clock()
            if packet.size and not self._is_over:
                self._held.append(_Held(packet, now))
            while self._held and now - self._held[0].arrived >= self._delay_s:
                self._mux(self._held.popleft().packet)

    def finish(self) -> None:
        """Send the queued packets and end the stream."""
        errors = list[TrackError]()

        def pass_rest_on() -> None:
            with self._passing:
                self._is_over = True
                try:
                    while self._held:
                        self._mux(self._held.popleft().packet)
                    self._close()
                except TrackError as error:
                    errors.append(error)
                    self._held.clear()
                    with suppress(TrackError):  # because the first error is more informative
                        self._close()

        ending = threading.Thread(
            target=pass_rest_on, name="end", daemon=True
        )  # a thread, as FFmpeg may block for ever
        ending.start()
        while ending.is_alive():
            ending.join(_LOOK_S)
            if self.stalled_s > TIMEOUT_S:
                raise self.explain_stall()
        for error in errors:
            raise error

    def _close(self) -> None:
        """Close the target."""
        self._since = time.monotonic()
        try:
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise TrackError(f"{self.target}: expected the stream to end without an error: {explain(error)}") from error
        finally:
            self._since = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()  # after an error, too: the queued packets are still sent

    def _mux(self, packet: Packet) -> None:
        made = self._add_mask(packet)
        made.stream = self._copies[packet.stream.index]
        self._since = time.monotonic()
        try:
            self._container.mux(made)
        except (av.FFmpegError, OSError) as error:
            raise TrackError(f"{self.target}: expected the target to accept data: {explain(error)}") from error
        finally:
            self._since = None

    def _add_mask(self, packet: Packet) -> Packet:
        """Return the packet with its picture's mask, if there is one."""
        if packet.stream.index != self._picture or packet.pts is None:
            return packet
        pts_ms = max(0, round(1000 * float(packet.pts * packet.time_base)))
        with self._alone:
            payload = self._payloads.pop(pts_ms, None)
        if payload is None:
            return packet
        made = av.Packet(insert_message(bytes(packet), payload, self._lengths))
        made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
        made.time_base, made.is_keyframe = packet.time_base, packet.is_keyframe
        self.masks += 1
        return made
