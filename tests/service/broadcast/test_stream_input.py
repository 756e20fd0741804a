"""Streams that come in: files here, read as fast as they would be played."""

from pathlib import Path

import pytest

from danmatte.broadcast.stream_input import StreamInput
from danmatte.errors import TrackError
from danmatte.frame import Size
from tests.service.tracks.videos import walking, write


class Clock:
    """Goes on by what is slept, and a little by itself."""

    def __init__(self, slow_s: float = 0.0) -> None:
        self.now, self._slow_s = 100.0, slow_s

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self._slow_s


def read(path: Path, clock: Clock) -> list[tuple[float, int]]:
    """When each frame came, and its time."""
    with StreamInput(str(path), clock, clock.sleep) as stream:
        assert not stream.is_live
        assert stream.size == Size(180, 320)
        return [(clock.now - 100, frame.pts_ms) for arrival in stream.read() for frame in arrival.frames]


def test_a_file_comes_as_fast_as_it_is_played(tmp_path: Path) -> None:
    found = read(write(tmp_path / "walk.mp4", walking(50)), Clock())
    assert [pts for _, pts in found] == list(range(0, 2000, 40))
    assert found[25][0] == pytest.approx(1, abs=0.2)


def test_waits_do_not_add_up(tmp_path: Path) -> None:
    """A sleep that is always late is made up for by the next one."""
    found = read(write(tmp_path / "walk.mp4", walking(100)), Clock(slow_s=0.03))
    lags = [now - pts / 1000 for now, pts in found]
    assert max(lags[80:]) == pytest.approx(max(lags[10:30]), abs=0.01)


def test_sound_is_passed_on_with_the_pictures(tmp_path: Path) -> None:
    clock = Clock()
    with StreamInput(str(write(tmp_path / "walk.mp4", walking(10), sound_s=1)), clock, clock.sleep) as stream:
        kinds = {arrival.packet.stream.type for arrival in stream.read()}
    assert kinds == {"video", "audio"}


@pytest.mark.parametrize(
    ("address", "says"), [("rtmp://127.0.0.1:9/x", "expected a stream"), ("srt://127.0.0.1:9", "srt-live-transmit")]
)
def test_an_address_that_cannot_be_had_is_said(address: str, says: str) -> None:
    with pytest.raises(TrackError, match=says):
        StreamInput(address)


def test_what_has_no_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(TrackError, match="expected a stream"):
        StreamInput(str(tmp_path / "a.mp4"))
