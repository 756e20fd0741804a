"""The commands `danmatte live`, and `danmatte convert` with a playlist as its target."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from danmatte.broadcast.frame_slot import FrameSlot
from danmatte.broadcast.live_masks import LiveTally, StreamMatting, make_masks
from danmatte.broadcast.relay import DELAY_S, Relay
from danmatte.broadcast.rendition import Rendition, RenditionOptions, add_to_multivariant, write_rendition
from danmatte.broadcast.stream_input import TIMEOUT_S, StreamInput
from danmatte.errors import InvalidParameterError, TrackError
from danmatte.segmenter import Segmenter
from danmatte.tracks import Entry, TrackHeader
from danmatte.tracks.selection import BOX, choose_mask_size
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.picture_stream import check_target

WINDOW = 6  # segments that a live playlist lists
_LOOK_S = 0.2
_LEAVE_S = 3.0  # how long to wait for the reader to end, before it is abandoned


def run_live(source: str, target: str, options: Mapping[str, Any]) -> int:
    """Run `danmatte live` until the stream ends, or SIGINT or SIGTERM; return 0, or 1 if no mask was made."""
    check_target(source, target)
    box = options.get("box", BOX)
    calls = {name: options[name] for name in ("reconnect_s",) if name in options}
    with (
        StreamInput(source, **calls) as stream,
        Segmenter(options.get("model", ""), models=options.get("models")) as segmenter,
    ):
        size = choose_mask_size(stream.shown, box)
        looks = {name: options[name] for name in ("margin", "regions") if name in options}
        matting = StreamMatting(segmenter, size, **looks)
        manifest = segmenter.manifest
        if target.endswith(".m3u8"):
            header = TrackHeader(size, "person", manifest.name, manifest.version)
            segment_ms = round(1000 * options.get("segment_s", 2))
            rendition = Rendition(Path(target), header, RenditionOptions(segment_ms, options.get("window", WINDOW)))
            try:
                tally = watch_stream(stream, matting, rendition.add)
            finally:  # also after the stream was interrupted
                if rendition.has_masks:
                    rendition.finish()
        else:
            with Relay(target, stream.streams, delay_s=options.get("delay_s", DELAY_S)) as relay:
                tally = watch_stream(stream, matting, relay.add, relay)
            print(f"{relay.masks} of {tally.masks} masks were ready in time", file=sys.stderr)
    again = f", reconnected {stream.reconnects} times" if stream.reconnects else ""
    print(f"{source}: {tally.describe()}{again}", file=sys.stderr)
    return 0 if tally.masks else 1


def watch_stream(
    stream: StreamInput,
    matte: Callable[[DecodedFrame], Entry],
    deliver: Callable[[Entry], None],
    relay: Relay | None = None,
) -> LiveTally:
    """Read the stream in a separate thread, and make masks in this one, until the stream ends; raises TrackError.

    A blocked reader is abandoned: at the end, because a pipe may block for ever, and earlier if the target accepts no
    data for too long.
    """
    slot, over = FrameSlot(), threading.Event()

    def read() -> None:
        try:
            for arrival in stream.read():
                if over.is_set():
                    break
                for frame in arrival.frames:
                    slot.put(frame)
                if relay:
                    relay.pass_on(arrival.packet)
        except Exception as error:  # noqa: BLE001 - any error is raised in the main thread
            slot.close(error)
        finally:
            slot.close()

    def matte_named(frame: DecodedFrame) -> Entry:
        try:
            return matte(frame)
        except TrackError as error:
            raise TrackError(f"{stream.source}: {error}") from error

    reader = threading.Thread(target=read, name="read", daemon=True)

    def end() -> None:
        over.set()
        stream.end()

    with _end_by_signals(end):
        reader.start()
        threading.Thread(target=watch_reader, args=(reader, slot, over, relay), name="watch", daemon=True).start()
        try:
            return make_masks(slot, matte_named, deliver)
        finally:
            end()
            reader.join(_LEAVE_S)


def watch_reader(reader: threading.Thread, slot: FrameSlot, over: threading.Event, relay: Relay | None) -> None:
    """Close the slot if the reader is blocked or has ended without closing it."""
    while reader.is_alive() and not over.is_set():
        reader.join(_LOOK_S)
        if relay and relay.stalled_s > TIMEOUT_S:
            slot.close(relay.explain_stall())
            return
    reader.join(_LEAVE_S)
    slot.close()


@contextmanager
def _end_by_signals(end: Callable[[], None]) -> Iterator[None]:
    """Make SIGINT and SIGTERM end the stream as if it had ended itself; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda *_: end()) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def convert_to_rendition(source: Path, target: Path, multivariant: Path | None) -> int:
    """Write a track as an HLS rendition, add it to the playlist `multivariant` if given, and return the mask count."""
    count = write_rendition(source, target)
    if multivariant:
        try:
            address = Path(os.path.relpath(target.resolve(), multivariant.resolve().parent)).as_posix()
            text = add_to_multivariant(multivariant.read_text("utf-8"), quote(address))
            multivariant.write_text(text, "utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidParameterError(f"{multivariant}: expected a playlist to add the masks to: {error}") from error
    return count
