"""Incoming streams: here mostly files, read as fast as they would be played."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from danmatte.broadcast.stream_input import StreamInput
from danmatte.errors import TrackError
from danmatte.frame import Size
from tests.service.tracks.videos import walking, write


class Clock:
    """A clock that advances by each sleep, and a little by itself."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.now, self._slow_s = 100.0, slow_s

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._slow_s


def read(path: Path, clock: Clock) -> list[tuple[float, int]]:
    """Return each frame's arrival and its pts."""
    with StreamInput(str(path), clock, clock.sleep) as stream:
        assert not stream.is_live
        assert stream.shown == Size(180, 320)
        return [(clock.now - 100, frame.pts_ms) for arrival in stream.read() for frame in arrival.frames]


def test_a_file_is_read_at_playback_speed(tmp_path: Path) -> None:
    found = read(write(tmp_path / "walk.mp4", walking(50)), Clock())
    assert [pts for _, pts in found] == list(range(0, 2000, 40))
    assert found[25][0] == pytest.approx(1, abs=0.2)


def test_oversleeping_does_not_accumulate(tmp_path: Path) -> None:
    """If each sleep takes too long, the next one is shorter."""
    found = read(write(tmp_path / "walk.mp4", walking(100)), Clock(slow_s=0.03))
    lags = [now - pts / 1000 for now, pts in found]
    assert max(lags[80:]) == pytest.approx(max(lags[10:30]), abs=0.01)


def test_a_jump_in_timestamps_causes_no_wait(tmp_path: Path) -> None:
    times = [*range(0, 1000, 40), *range(3_600_000, 3_601_000, 40)]
    found = read(write(tmp_path / "walk.mkv", walking(50), times_ms=times), Clock())
    assert [pts for _, pts in found] == times
    assert found[-1][0] == pytest.approx(2, abs=0.3)


def test_audio_packets_are_read_along_with_video(tmp_path: Path) -> None:
    clock = Clock()
    with StreamInput(str(write(tmp_path / "walk.mp4", walking(10), sound_s=1)), clock, clock.sleep) as stream:
        kinds = {arrival.packet.stream.type for arrival in stream.read()}
    assert kinds == {"video", "audio"}


@pytest.mark.parametrize(
    ("address", "says"), [("rtmp://127.0.0.1:9/x", "expected a stream"), ("srt://127.0.0.1:9", "srt-live-transmit")]
)
def test_an_unreachable_or_unsupported_address_is_reported(address: str, says: str) -> None:
    with pytest.raises(TrackError, match=says):
        StreamInput(address)


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(TrackError, match="expected a stream"):
        StreamInput(str(tmp_path / "a.mp4"))


@contextmanager
def serve_stream(*answers: bytes, length: int) -> Iterator[str]:
    """Serve transport streams: each connection gets the next body, cut before `length`; further ones get none."""
    calls = iter(answers)

    class Sender(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = next(calls, None)
            self.send_response(200 if data else 503)
            self.send_header("Content-Type", "video/mp2t")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Write no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Sender)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/film.ts"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_interrupted_stream_is_reconnected_without_duplicate_frames(tmp_path: Path) -> None:
    whole = write(tmp_path / "walk.ts", walking(60), b_frames=2).read_bytes()
    clock, dts = Clock(), list[int]()
    with (
        serve_stream(whole[: len(whole) // 2], whole, length=len(whole)) as address,
        StreamInput(address, clock, clock.sleep) as stream,
    ):
        pts = list[int]()
        for arrival in stream.read():
            pts += [frame.pts_ms for frame in arrival.frames]
            dts += [arrival.packet.dts] if arrival.packet.dts is not None else []
    assert stream.reconnects == 1
    assert len(pts) >= 58  # frames at the interruption may be lost
    assert pts == sorted(set(pts))
    assert dts == sorted(set(dts))
    assert pts[-1] - pts[0] == 59 * 40


def test_reconnecting_to_an_unavailable_source_times_out(tmp_path: Path) -> None:
    whole, clock = write(tmp_path / "walk.ts", walking(60)).read_bytes(), Clock()
    with (
        serve_stream(whole[: len(whole) // 2], length=len(whole)) as address,
        StreamInput(address, clock, clock.sleep, reconnect_s=20) as stream,
        pytest.raises(TrackError, match="expected the stream to continue"),
    ):
        list(stream.read())
    assert 120 <= clock.now < 125


def test_an_ended_input_does_not_reconnect(tmp_path: Path) -> None:
    whole, clock = write(tmp_path / "walk.ts", walking(60)).read_bytes(), Clock()
    with (
        serve_stream(whole[: len(whole) // 2], length=len(whole)) as address,
        StreamInput(address, clock, clock.sleep) as stream,
    ):
        stream.end()
        assert list(stream.read())
    assert (stream.reconnects, clock.now) == (0, 100)


@pytest.mark.parametrize(("rotation", "ratio", "size"), [(90, 1, Size(320, 180)), (0, 2, Size(180, 640))])
def test_rotation_and_pixel_ratio_determine_the_displayed_size(
    tmp_path: Path, rotation: int, ratio: int, size: Size
) -> None:
    path = write(tmp_path / "walk.mp4", walking(2), rotation=rotation, pixel_ratio=ratio)
    with StreamInput(str(path)) as stream:
        assert stream.shown == size


def test_raw_h264_without_timestamps_is_read_at_playback_speed(tmp_path: Path) -> None:
    """A camera's raw H.264 has no times, so frames are counted."""
    found = read(write(tmp_path / "walk.h264", walking(50)), Clock())
    assert [pts for _, pts in found] == list(range(0, 2000, 40))
    assert found[25][0] == pytest.approx(1, abs=0.2)
