"""The command lines of `danmatte live` and of `danmatte convert` to a rendition."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import m3u8
import msgspec
import numpy as np
import pytest

from danmatte import cli
from danmatte.broadcast import commands
from danmatte.broadcast import relay as relay_module
from danmatte.broadcast.relay import Relay
from danmatte.broadcast.sei import read_message
from danmatte.broadcast.stream_input import Arrival, StreamInput
from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackWriter
from danmatte.tracks.formats.vtt import CueMask
from danmatte.video.decoded_frame import DecodedFrame
from tests.service.tracks.videos import walking, write

MASK = np.tile(np.arange(32) < 9, (18, 1))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write(tmp_path / "walk.mp4", walking(60), sound_s=2)


def test_live_writes_masks_as_a_rendition(video: Path, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = video.with_name("masks.m3u8")
    words = ["live", str(video), str(target), "--models", str(models), "--segment-s", "1", "--window", "2"]
    assert cli.main(words) == 0
    playlist = m3u8.load(str(target))
    assert playlist.is_endlist
    assert len(playlist.segments) == 2
    assert "-->" in (video.parent / playlist.segments[-1].uri).read_text()
    assert "masks," in capsys.readouterr().err


def test_live_relays_the_stream_with_masks_as_sei_messages(video: Path, models: Path) -> None:
    target = video.with_name("out.ts")
    assert cli.main(["live", str(video), str(target), "--models", str(models), "--delay-s", "5"]) == 0
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
        frames = list(container.decode(video=0))
    found = [message for frame in frames if (message := frame.side_data.get("SEI_UNREGISTERED"))]
    assert len(frames) == 60
    assert 0 < len(found) <= 60
    masks = [msgspec.json.decode(read_message(bytes(message)) or b"", type=CueMask) for message in found]
    assert {(mask.width, mask.height) for mask in masks} == {(320, 180)}


def test_live_accepts_known_regions_and_refuses_unknown_ones(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["live", str(video), str(video.with_name("masks.m3u8")), "--models", str(models), "--region"]
    assert cli.main([*words, "person"]) == 0
    assert cli.main([*words, "person,tree"]) == 2
    assert "tree" in capsys.readouterr().err


class Clock:
    """A clock that stands still until the test sets it."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_late_mask_is_omitted_and_its_packet_is_sent_on_time(video: Path, tmp_path: Path) -> None:
    clock, left = Clock(), list[int]()
    with StreamInput(str(video), sleep=lambda _: None) as stream:
        relay = Relay(str(tmp_path / "out.ts"), stream.streams[:1], delay_s=0.5, clock=clock)
        with relay:
            for arrival in stream.read():
                if arrival.packet.stream.type != "video" or arrival.packet.pts is None:
                    continue
                pts_ms = round(1000 * float(arrival.packet.pts * arrival.packet.time_base))
                clock.now = pts_ms / 1000
                relay.pass_on(arrival.packet)
                # This machine takes 0.32 s for a mask in the first half, and 0.64 s later.
                late_ms = 320 if pts_ms < 1200 else 640
                if pts_ms >= late_ms:
                    relay.add(Entry(pts_ms - late_ms, MASK))
            left.append(len(relay._held))
    assert left == [13]  # only half a second of packets
    assert 20 < relay.masks < 40


class Source:
    """A stream that calls a function of the test when it is read."""

    source = "pipe:0"

    def __init__(self, read: Callable[[], Iterator[Arrival]]) -> None:
        self.read = read

    def end(self) -> None:
        """Ignore the request to end."""


def matte(frame: DecodedFrame) -> Entry:
    return Entry(frame.pts_ms, MASK)


def test_sigterm_ends_the_program_although_its_input_pipe_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_LEAVE_S", 0.1)

    def read() -> Iterator[Arrival]:
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()
        yield from ()

    assert commands.watch_stream(Source(read), matte, print).masks == 0


def test_an_unexpected_exception_of_the_reader_is_raised() -> None:
    def read() -> Iterator[Arrival]:
        raise ValueError("an unexpected fault")
        yield

    with pytest.raises(ValueError, match="an unexpected fault"):
        commands.watch_stream(Source(read), matte, print)


def test_the_error_of_an_unconvertible_frame_names_its_stream(video: Path) -> None:
    def refuse(frame: DecodedFrame) -> Entry:
        raise TrackError(f"{frame.pts_ms} ms: expected pixels that can be converted, received xyz")

    with StreamInput(str(video)) as stream, pytest.raises(TrackError, match=rf"^{video}: 0 ms: expected pixels"):
        commands.watch_stream(stream, refuse, print)


class StuckContainer:
    """An address that accepts no more data, because its receiver has stopped reading."""

    def __init__(self, real: object) -> None:
        self.is_called, self._never, self._real = threading.Event(), threading.Event(), real  # whose streams are used

    def mux(self, packet: object) -> None:
        self.is_called.set()
        self._never.wait()

    def close(self) -> None:
        self._never.wait()


def stick(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> StuckContainer:
    """Let a relay send to an address that accepts no data."""
    for module in (commands, relay_module):
        monkeypatch.setattr(module, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(commands, "_LEAVE_S", 0.1)
    monkeypatch.setattr(relay, "_may_stall", True)
    relay._container = StuckContainer(relay._container)
    return relay._container


def test_sending_to_a_target_that_accepts_no_data_times_out(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StreamInput(str(video), sleep=lambda _: None) as stream:
        relay = Relay(str(tmp_path / "out.ts"), stream.streams, delay_s=0)
        stick(relay, monkeypatch)
        says = r"out\.ts: expected the target to accept data, it has not for 0\.3 s"
        with pytest.raises(TrackError, match=says):
            commands.watch_stream(stream, matte, relay.add, relay)
        with pytest.raises(TrackError, match=says):
            relay.finish()  # it doesn't wait for the queued packets either


def test_finishing_a_relay_times_out_if_its_target_accepts_no_data(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with StreamInput(str(video), sleep=lambda _: None) as stream:
        relay = Relay(str(tmp_path / "out.ts"), stream.streams, delay_s=1e9)
        for arrival in stream.read():
            relay.pass_on(arrival.packet)
        stuck = stick(relay, monkeypatch)
        with pytest.raises(TrackError, match="expected the target to accept data"):
            relay.finish()
        assert stuck.is_called.is_set()


def test_a_relay_refuses_codecs_other_than_h264(tmp_path: Path) -> None:
    path = write(tmp_path / "walk.mkv", walking(5), codec="mpeg4")
    with StreamInput(str(path)) as stream, pytest.raises(TrackError, match=r"expected H\.264"):
        Relay(str(tmp_path / "out.ts"), stream.streams)


def test_a_target_that_is_the_source_file_is_refused(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    content, link = video.read_bytes(), tmp_path / "link.ts"
    link.symlink_to(video)
    for target in (video, link):
        assert cli.main(["live", str(video), str(target), "--models", str(models)]) == 2
        assert f"{target}: expected a file other than the one being read" in capsys.readouterr().err
        assert video.read_bytes() == content


def test_a_missing_source_file_is_reported(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["live", str(tmp_path / "none.mp4"), str(tmp_path / "a.m3u8"), "--models", str(models)]) == 2
    assert "expected a stream" in capsys.readouterr().err


def test_convert_makes_a_rendition_and_adds_it_to_the_multivariant_playlist(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TrackWriter(tmp_path / "film.mattes", TrackHeader(Size(18, 32), "person")) as writer:
        for pts_ms in range(0, 9000, 40):
            writer.add(Entry(pts_ms, MASK))
    (tmp_path / "video.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000\nlow.m3u8\n")
    words = ["convert", str(tmp_path / "film.mattes"), str(tmp_path / "masks.m3u8")]
    assert cli.main([*words, "--multivariant", str(tmp_path / "video.m3u8")]) == 0
    assert "225 masks" in capsys.readouterr().out
    assert m3u8.load(str(tmp_path / "video.m3u8")).media[0].uri == "masks.m3u8"
    assert len(m3u8.load(str(tmp_path / "masks.m3u8")).segments) == 2
    (tmp_path / "my masks").mkdir()
    words[-1] = str(tmp_path / "my masks" / "masks.m3u8")
    assert cli.main([*words, "--multivariant", str(tmp_path / "video.m3u8")]) == 0
    (media,) = m3u8.load(str(tmp_path / "video.m3u8")).media
    assert media.uri == "my%20masks/masks.m3u8", "from the playlist that names it"
    assert cli.main([*words, "--multivariant", str(tmp_path / "none.m3u8")]) == 2
