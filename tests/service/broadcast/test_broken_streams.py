"""Interrupted streams: the masks made before are kept, and the interruption is reported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import m3u8
import pytest

from danmatte import cli
from danmatte.broadcast.stream_input import Arrival, StreamInput
from danmatte.errors import TrackError
from tests.service.tracks.videos import walking, write


@pytest.fixture
def video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream that is interrupted after a second and a half."""
    read = StreamInput.read

    def read_some(self: StreamInput) -> Iterator[Arrival]:
        for arrival in read(self):
            if any(frame.pts_ms >= 1500 for frame in arrival.frames):
                raise TrackError(f"{self.source}: expected the stream to continue: reset")
            yield arrival

    monkeypatch.setattr(StreamInput, "read", read_some)
    return write(tmp_path / "walk.mp4", walking(60))


def run(video: Path, target: Path, models: Path, *words: Any) -> int:
    return cli.main(["live", str(video), str(target), "--models", str(models), *map(str, words)])


def test_a_rendition_of_an_interrupted_stream_ends_with_the_masks_made_before(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = video.with_name("masks.m3u8")
    assert run(video, target, models, "--segment-s", 1) == 2
    assert "expected the stream to continue" in capsys.readouterr().err
    assert m3u8.load(str(target)).is_endlist


def test_a_relay_of_an_interrupted_stream_sends_its_delayed_packets(video: Path, models: Path) -> None:
    target = video.with_name("out.ts")
    assert run(video, target, models, "--delay-s", 60) == 2
    with av.open(str(target)) as container:
        assert 30 < len(list(container.decode(video=0))) < 60
