"""A page's pictures show the frames that it names, which are read again after the assessment."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from danmatte.quality.thumbnails import read_thumbnails
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.reader import Video
from tests.service.tracks.videos import write


def paint(level: int) -> np.ndarray:
    return np.full((180, 320), level, np.uint8)


def test_a_thumbnail_shows_the_frame_at_its_time(tmp_path: Path) -> None:
    video = write(tmp_path / "steps.mp4", [paint(40 * (at % 6)) for at in range(100)])  # 25 a second
    found = read_thumbnails(video, [3960, 0, 1240])
    assert {time: picture.shape for time, picture in found.items()} == dict.fromkeys((0, 1240, 3960), (135, 240, 3))
    shades = {time: float(picture.mean()) for time, picture in found.items()}
    assert shades == pytest.approx({0: 0, 1240: 40, 3960: 120}, abs=8)


def test_a_file_that_cannot_be_searched_is_read_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write(tmp_path / "steps.ts", [paint(40 * (at % 6)) for at in range(100)])
    readings = list[int]()
    read = Video.read_frames

    def count(self: Video, from_ms: int = 0) -> Iterator[DecodedFrame]:
        readings.append(from_ms)
        return read(self, from_ms)

    monkeypatch.setattr(Video, "read_frames", count)
    shades = {time: float(picture.mean()) for time, picture in read_thumbnails(video, [3960, 0, 1240]).items()}
    assert shades == pytest.approx({0: 0, 1240: 40, 3960: 120}, abs=8)
    assert readings == [0]


def test_a_small_video_is_not_made_larger(tmp_path: Path) -> None:
    (found,) = read_thumbnails(write(tmp_path / "small.mp4", [paint(9)[:90, :160]] * 5), [0]).values()
    assert found.shape == (90, 160, 3)


def test_a_missing_file_or_frame_has_no_thumbnail(tmp_path: Path) -> None:
    assert read_thumbnails(tmp_path / "none.mp4", [0]) == {}
    video = write(tmp_path / "short.mp4", [paint(9)] * 5)
    assert list(read_thumbnails(video, [0, 90_000])) == [0]
