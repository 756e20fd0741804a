"""Limits for untrusted streams."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from danmatte.errors import TrackError
from danmatte.video import limits
from danmatte.video.reader import Video
from tests.service.tracks.hostile import stretch, write_changing, write_raw
from tests.service.tracks.videos import walking, write


def test_a_video_with_too_large_frames_is_rejected_before_decoding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.mp4", walking(2))
    monkeypatch.setattr(limits, "MAX_FRAME_PIXELS", 320 * 180 - 1)
    with pytest.raises(TrackError, match="expected frames of at most 57599 pixels, received 320x180"):
        Video(path)
    monkeypatch.setattr(limits, "MAX_FRAME_PIXELS", 320 * 180)
    with Video(path) as video:
        assert len(list(video.read_frames())) == 2


def test_frames_that_grow_beyond_the_size_limit_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 150  # six seconds, because opening a file probes five
    write_changing(tmp_path / "a.ts", [(90, 160), (180, 320)], count=count)
    with Video(tmp_path / "a.ts") as video:
        assert len(list(video.read_frames())) == 2 * count
    monkeypatch.setattr(limits, "MAX_FRAME_PIXELS", 30_000)
    with Video(tmp_path / "a.ts") as video:
        assert len(list(video.read_frames())) == count
        assert video.broken


@pytest.mark.parametrize("ratio", [Fraction(65, 1), Fraction(1, 65)])
def test_extreme_pixel_aspect_ratios_are_rejected(ratio: Fraction, tmp_path: Path) -> None:
    stretch(tmp_path / "a.mp4", ratio)
    with pytest.raises(TrackError, match="expected a pixel aspect ratio of 1:64 to 64:1"):
        Video(tmp_path / "a.mp4")


def test_pixel_aspect_ratios_of_television_are_accepted(tmp_path: Path) -> None:
    stretch(tmp_path / "a.mp4", Fraction(64, 45))
    with Video(tmp_path / "a.mp4") as video:
        assert video.pixel_ratio == Fraction(64, 45)


def test_pixel_formats_that_would_crash_the_process_are_rejected(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.nut", [(3, 64)], "bayer_rggb8")
    with pytest.raises(TrackError, match="expected pixels that players show, received bayer_rggb8"):
        Video(tmp_path / "a.nut")
    with pytest.raises(TrackError, match="received yaf32le"):
        limits.check_frame(av.VideoFrame(64, 48, "yaf32le"), "a.nut")


def test_a_pixel_format_that_cannot_be_converted_is_reported(tmp_path: Path) -> None:
    write_raw(tmp_path / "a.nut", [(48, 64)], "bgr4")
    with Video(tmp_path / "a.nut") as video, pytest.raises(TrackError, match="can be converted, received bgr4"):
        next(video.read_frames()).to_grey(video.size)


def test_the_frame_rate_is_read_from_the_file(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mp4", walking(10), times_ms=range(0, 1000, 100))) as video:
        assert video.rate == pytest.approx(10)
