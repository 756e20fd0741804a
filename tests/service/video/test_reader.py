"""Videos of every kind are read as players show them."""

import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.video.reader import Video, _FrameClock
from tests.service.scenes import with_person
from tests.service.tracks.videos import walking, write


def read_times(path: Path, from_ms: int = 0) -> list[int]:
    with Video(path) as video:
        return [frame.pts_ms for frame in video.read_frames(from_ms)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_times_of_a_variable_frame_rate_are_exact_to_the_millisecond(tmp_path: Path, suffix: str) -> None:
    times = [0, 33, 67, 90, 300, 301, 1000, 2500, 2541]
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    assert read_times(write(tmp_path / f"a{suffix}", walking(9), times_ms=times, codec=codec)) == times


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("gop", [6, 250])
@pytest.mark.parametrize(("suffix", "codec"), [(".ts", "libx264"), (".flv", "libx264"), (".avi", "mpeg4")])
def test_formats_that_browsers_play_only_by_script_start_at_0(
    tmp_path: Path, suffix: str, codec: str, gop: int, b_frames: int
) -> None:
    b_frames = 0 if suffix == ".avi" else b_frames
    path = write(tmp_path / f"a{suffix}", walking(20), codec=codec, gop=gop, b_frames=b_frames)
    with Video(path) as video:
        assert [frame.pts_ms for frame in video.read_frames()] == list(range(0, 800, 40))
        assert (video.broken, video.dropped, video.before_start) == ("", 0, 0)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_formats_that_browsers_play_keep_their_start_time(tmp_path: Path, suffix: str) -> None:
    times = list(range(8332, 9132, 40))
    path = write(tmp_path / f"a{suffix}", walking(20), times_ms=times, b_frames=2)
    with Video(path) as video:
        assert [frame.pts_ms for frame in video.read_frames()] == times
        assert [frame.pts_ms for frame in video.read_frames(8700)] == [at for at in times if at >= 8700]
        assert video.end_ms == 9132
        assert video.broken == ""


def test_the_clock_of_the_file_can_be_selected(tmp_path: Path) -> None:
    times = list(range(1480, 1880, 40))
    with Video(write(tmp_path / "a.ts", walking(10), b_frames=2, times_ms=times), "file") as video:
        assert [frame.pts_ms for frame in video.read_frames()] == times
        assert video.end_ms == 1880


@pytest.mark.parametrize("suffix", [".webm", ".mkv"])
def test_of_frames_before_0_only_the_one_shown_at_0_is_read(tmp_path: Path, suffix: str) -> None:
    codec = "libvpx" if suffix == ".webm" else "libx264"
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=25, width=64, height=64, pix_fmt="yuv420p")
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for at in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 9 * at, np.uint8), "rgb24").reformat(
                format="yuv420p"
            )
            frame.pts, frame.time_base = 40 * at - 500, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Video(path) as video:
        found = list(video.read_frames())
        assert [frame.pts_ms for frame in found] == [0, *range(20, 480, 40)]
        assert abs(int(found[0].to_grey(video.size).mean()) - 9 * 12 * 219 / 255) < 18
        assert (video.before_start, video.broken) == (12, "")


def test_frames_lost_at_the_start_are_reported(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.ts", walking(60), gop=25)
    data, packets = whole.read_bytes(), whole.stat().st_size // 188
    truncated = tmp_path / "truncated.ts"
    truncated.write_bytes(
        data[: 188 * 3] + data[188 * (packets // 6) :]
    )  # a recording that starts between two keyframes
    with Video(truncated) as video:
        found = [frame.pts_ms for frame in video.read_frames()]
        assert found[0] == 0
        assert 10 < len(found) < 58
        assert video.broken.startswith("expected frames from")
        assert "the first that can be read is at" in video.broken


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_a_picture_is_rejected_as_a_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    with pytest.raises(TrackError, match=rf"a{suffix}: expected a video, received a picture \(\w+\)$"):
        Video(path)


def test_an_animated_picture_that_cannot_be_decoded_is_rejected(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), 40 * at, np.uint8)) for at in range(4)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(TrackError, match=r"a\.webp: expected a video, received a picture \(webp\)$"):
        Video(tmp_path / "a.webp")


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotated_video_is_read_upright(tmp_path: Path, rotation: int) -> None:
    shown = with_person(20)
    shown = shown if rotation == 180 else np.ascontiguousarray(shown[:, :120])  # portrait
    stored = np.ascontiguousarray(np.rot90(shown, -rotation // 90))
    with Video(write(tmp_path / "a.mp4", [stored] * 3, rotation=rotation)) as video:
        assert video.size == shown.shape
        shot = next(video.read_frames())
    assert np.abs(shot.to_grey(video.size).astype(int) - shown).mean() < 12
    assert shot.to_colours(Size(60, 40), "RGB").shape == (60, 40, 3)


@pytest.mark.parametrize("size", [(91, 161), (179, 319), (17, 33)])
def test_videos_of_odd_sizes_are_read(tmp_path: Path, size: tuple[int, int]) -> None:
    picture = np.ascontiguousarray(with_person(20)[: size[0], : size[1]])
    with Video(write(tmp_path / "a.mkv", [picture] * 2, pixel="yuv444p")) as video:
        assert video.size == size
        colours = next(video.read_frames()).to_colours(video.size, "BGR")
    assert np.abs(colours.mean(2) - picture).mean() < 15


def test_video_with_10_bits_is_read_like_video_with_8_bits(tmp_path: Path) -> None:
    eight = write(tmp_path / "8.mp4", walking(2))
    ten = write(tmp_path / "10.mp4", walking(2), pixel="yuv420p10le", codec="libx265")
    pictures = []
    for path in (eight, ten):
        with Video(path) as video:
            pictures.append(next(video.read_frames()).to_colours(Size(90, 160), "RGB").astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 3


def test_high_dynamic_range_is_mapped_to_standard_brightness() -> None:
    from danmatte.video.decoded_frame import _CURVES

    (curve,) = _CURVES.values()
    assert (np.diff(curve.astype(int)) >= 0).all()
    assert curve[0] == 0
    assert curve[255] == 255
    paper_white = round(255 * 0.58)  # 203 nits in PQ
    assert 170 < curve[paper_white] < 210


def test_reading_from_the_middle_skips_no_frame(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", walking(100))
    assert read_times(path, 2000) == list(range(2000, 4000, 40))
    with Video(path) as video:
        for from_ms in (3000, 0, 1990):
            assert next(video.read_frames(from_ms)).pts_ms == (from_ms + 39) // 40 * 40


def test_a_transport_stream_can_be_read_from_the_middle(tmp_path: Path) -> None:
    path = write(tmp_path / "a.ts", walking(100))
    whole = read_times(path)
    assert read_times(path, whole[60]) == whole[60:]


def test_a_truncated_video_is_read_to_its_end_and_reported_as_broken(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", walking(200))
    os.truncate(path, path.stat().st_size // 2)
    with Video(path) as video:
        found = [frame.pts_ms for frame in video.read_frames()]
        assert 40 < len(found) < 160
        assert found == list(range(0, 40 * len(found), 40))
        assert "expected frames until 8000 ms" in video.broken
        assert f"at {found[-1]} ms" in video.broken


def test_a_complete_video_is_not_reported_as_broken(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mp4", walking(50))) as video:
        assert len(list(video.read_frames())) == 50
        assert video.broken == ""
        assert video.dropped == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_sound_longer_than_the_pictures_is_not_reported_as_broken(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", walking(10), sound_s=5)
    with Video(path) as video:
        assert len(list(video.read_frames())) == 10
        assert video.broken == ""
        assert video.end_ms == 400
        assert video.file_end_ms == pytest.approx(5000, abs=200)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_long_last_picture_is_not_reported_as_broken(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", walking(3), times_ms=[0, 5000, 10_000], last_ms=5000)
    with Video(path) as video:
        assert len(list(video.read_frames())) == 3
        assert video.broken == ""


def test_corrupt_data_loses_only_the_frames_it_affects(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", walking(120))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = os.urandom(3000)
    path.write_bytes(data)
    with Video(path) as video:
        found = [frame.pts_ms for frame in video.read_frames()]
    assert found[-1] == 119 * 40
    assert len(found) > 60


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_a_file_that_is_not_a_video_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(TrackError, match="expected a video"):
        Video(path)


def test_a_missing_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match=r"none\.mp4: expected a video"):
        Video(tmp_path / "none.mp4")


def test_a_file_with_sound_only_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(TrackError, match="expected a video stream"):
        Video(path)


@pytest.mark.parametrize(
    ("given_s", "expected"),
    [
        ([0, 0.04, 0.08], [0, 40, 80]),
        ([0, None, 0.08, None], [0, 40, 80, 120]),
        ([None, None, None], [0, 40, 80]),
        ([0, 0.08, 0.04, 0.12], [0, 80, None, 120]),
        ([0, 0.04, 0.04], [0, 40, None]),
        ([10, 10.04, 0, 0.04], [10_000, 10_040, 10_080, 10_120]),
        ([10, 10.04, 0, 5, 0, 0.5], [10_000, 10_040, 10_080, 15_080, 15_120, 15_620]),
        ([0.0333333, 0.0666667], [33, 67]),
    ],
    ids=["good", "missing", "none at all", "out of order", "twice", "restarted", "restarted twice", "rounded"],
)
def test_missing_or_decreasing_times_are_replaced_or_dropped(
    given_s: list[float | None], expected: list[int | None]
) -> None:
    clock = _FrameClock(Fraction(25))
    assert [clock.step(time) for time in given_s] == expected


def test_the_shown_size_accounts_for_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, width=160, height=180, pix_fmt="yuv420p")
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        picture = cv2.resize(with_person(20), (160, 180))
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.dstack([picture] * 3), "rgb24")))
        container.mux(stream.encode(None))
    with Video(path) as video:
        assert video.size == (180, 160)
        assert video.shown == (180, 320)


def test_one_frame_can_be_scaled_to_several_sizes(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mp4", walking(5))) as video:
        for frame in video.read_frames():
            small, large = frame.to_colours(Size(45, 80), "RGB"), frame.to_detail(Size(360, 640), "RGB")
            assert (small.shape, large.shape) == ((45, 80, 3), (360, 640, 3))
            shrunk = cv2.resize(large, (80, 45), interpolation=cv2.INTER_AREA)
            assert np.abs(small.astype(int) - shrunk).mean() < 4


def test_colours_are_returned_in_the_requested_order(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mp4", walking(1))) as video:
        (frame,) = video.read_frames()
        assert np.array_equal(frame.to_colours(video.size, "RGB"), frame.to_colours(video.size, "BGR")[..., ::-1])


def test_a_video_can_be_read_again_from_its_start(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mkv", walking(12))) as video:
        first, second = ([frame.pts_ms for frame in video.read_frames()] for _ in range(2))
        assert first == second == list(range(0, 480, 40))


def test_reading_can_stop_early_and_continue_at_a_different_time(tmp_path: Path) -> None:
    with Video(write(tmp_path / "a.mp4", walking(60))) as video:
        for _, frame in zip(range(3), video.read_frames(), strict=False):
            assert frame.pts_ms <= 80
        assert next(video.read_frames(1000)).pts_ms == 1000
        assert video.broken == ""


def test_a_clock_counts_from_its_origin_and_extrapolates_missing_times() -> None:
    clock = _FrameClock(Fraction(25), 1480.0, 1400.0)
    assert [clock.step(time) for time in (None, None, 1.48, 1.52)] == [-80, -40, 0, 40]
