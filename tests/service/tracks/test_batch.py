"""The command `danmatte track`."""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danmatte import cli
from danmatte.errors import InvalidParameterError
from danmatte.frame import Size
from danmatte.quality.companion import name_verdict
from danmatte.tracks import TrackReader
from danmatte.tracks.batch import (
    FailedTrack,
    FinishedTrack,
    KeptTrack,
    TrackOptions,
    choose_exit_code,
    list_videos,
    plan_jobs,
)
from danmatte.video.reader import Video
from tests.service.tracks.videos import walking, write

Run = tuple[int, list[dict[str, Any]], str]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write(tmp_path / "walk.mp4", walking(30))


def run_track(capsys: pytest.CaptureFixture[str], models: Path, *words: object) -> Run:
    code = cli.main(["track", *map(str, words), "--models", str(models), "--json", "-"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else [], err


def test_a_video_becomes_a_track_and_a_summary(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, (summary,), err = run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    assert code == 0
    assert summary["masks"] == 30
    assert summary["size"] == "320x180"
    assert summary["bytes"] == (tmp_path / "a.mattes").stat().st_size
    assert "30 masks of 320x180" in err
    with TrackReader(tmp_path / "a.mattes") as track:
        assert (track.header.model, track.header.version, track.header.polarity) == ("toy", 2, "person")


def test_a_track_stores_the_facts_of_its_video(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    video = write(tmp_path / "walk.mp4", walking(30), times_ms=range(8000, 9200, 40), rotation=90, sound_s=2)
    run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    with TrackReader(tmp_path / "a.mattes") as track:
        film = track.header.film
    assert film is not None
    assert film.sha256 == hashlib.sha256(video.read_bytes()).hexdigest()
    assert (film.clock, film.width, film.height, film.pixel_ratio) == ("media", 180, 320, (1, 1))
    assert (film.first_ms, film.end_ms, film.coded_ms) == (8000, 9200, 8000)
    assert len(film.orientation) == 2  # a quarter turn: transposed, and mirrored or upended


def test_a_track_stores_the_end_of_sound_that_is_longer_than_the_pictures(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ends = []
    for sound_s in (0, 5):
        video = write(tmp_path / f"{sound_s}.mp4", walking(30), sound_s=sound_s)
        run_track(capsys, models, video, "-o", tmp_path / f"{sound_s}.mattes")
        with TrackReader(tmp_path / f"{sound_s}.mattes") as track:
            assert track.header.film
            ends.append((track.header.film.end_ms, track.header.film.file_end_ms))
    assert ends[0] == (1200, None)
    assert ends[1] == (1200, pytest.approx(5000, abs=200))


def test_a_video_reports_the_time_that_an_edit_list_leaves_out(tmp_path: Path) -> None:
    path = write(tmp_path / "walk.mp4", walking(30))
    data = bytearray(path.read_bytes())
    with Video(path) as video:
        stored_s = Fraction(next(video.read_frames())._frame.time_base)
    at = data.index(b"elst")
    struct.pack_into(">Ii", data, at + 12, 1100, int(Fraction(100, 1000) / stored_s))  # length, and where it begins
    path.write_bytes(data)
    with Video(path) as video:
        assert [frame.pts_ms for frame in video.read_frames()][:2] == [0, 40]
        assert (video.first_ms, video.coded_ms, video.origin_ms) == (0, -120, -120)  # starts at the fourth frame


def test_closer_runs_a_second_pass_over_people(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, (once,), _ = run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    _, (twice,), _ = run_track(capsys, models, video, "-o", tmp_path / "b.mattes", "--closer")
    assert once["looked_closer"] == 0
    assert 0 < twice["looked_closer"] <= twice["inferred"] == once["inferred"]


def test_a_track_is_written_in_the_requested_format_size_and_rate(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("-o", tmp_path / "out", "--format", "webmask", "--fps", "5", "--size", "160x90", "--raw")
    code, (summary,), _ = run_track(capsys, models, video, *words)
    assert code == 0
    assert summary["masks"] == 7  # at 0, 120, 320 … 1120 ms
    with TrackReader(tmp_path / "out/walk.webmask") as track:
        assert track.header.size == (90, 160)
        assert track.header.polarity == "background"


def test_a_bad_video_in_a_folder_is_reported_and_the_others_get_tracks(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write(folder / "good.mkv", walking(5))
    (folder / "bad.mp4").write_bytes(b"nothing")
    (folder / "notes.txt").write_text("not meant")
    code, summaries, err = run_track(capsys, models, folder, "-o", tmp_path / "out")
    assert code == 2
    assert [Path(each["video"]).name for each in summaries] == ["bad.mp4", "good.mkv"]
    assert "expected a video" in summaries[0]["error"]
    assert summaries[1]["masks"] == 5
    assert "bad.mp4" in err


def test_a_truncated_video_is_reported_and_its_masks_are_kept(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    video = write(tmp_path / "a.mp4", walking(200))
    os.truncate(video, video.stat().st_size // 2)
    code, (summary,), err = run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    assert code == 1
    assert summary["masks"] > 40
    assert "expected frames until 8000 ms" in summary["broken"]
    assert "broken:" in err
    assert (tmp_path / "a.mattes").exists()


@pytest.mark.parametrize("change", ["grows", "is replaced", "goes"])
def test_a_file_that_changes_while_it_is_read_is_reported_as_broken(video: Path, change: str) -> None:
    """For example, a file that is still being uploaded."""
    with Video(video) as opened:
        frames = opened.read_frames()
        next(frames)
        content = video.read_bytes()
        if change == "grows":
            video.write_bytes(content + bytes(8))
        elif change == "is replaced":
            video.rename(video.with_name("before.mp4"))
            video.write_bytes(content)
        else:
            video.unlink()
        assert len(list(frames)) == 29
        assert opened.broken == "expected a file that doesn't change, but it changed while it was read"


def test_a_margin_extends_every_mask_of_the_track(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    run_track(capsys, models, video, "-o", tmp_path / "b.vtt", "--margin", "0.03")
    with TrackReader(tmp_path / "a.mattes") as bare, TrackReader(tmp_path / "b.vtt") as wide:
        for one, other in zip(bare, wide, strict=True):
            assert one.pts_ms == other.pts_ms
            assert other.mask[one.mask].all()
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13))  # 5.4 pixels, and a little
            assert not (other.mask & (cv2.dilate(one.mask.astype(np.uint8), disc) == 0)).any()
            assert other.mask.sum() > one.mask.sum() > 0


def test_a_region_is_selected_by_name(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_track(capsys, models, video, "-o", tmp_path / "a.mattes")
    run_track(capsys, models, video, "-o", tmp_path / "b.mattes", "--region", "person")
    assert (tmp_path / "a.mattes").read_bytes() == (tmp_path / "b.mattes").read_bytes()


def test_an_existing_track_is_kept_unless_again_is_given(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    track = tmp_path / "a.mattes"
    track.write_bytes(b"precious")
    code, (summary,), err = run_track(capsys, models, video, "-o", track)
    assert (code, summary["kept"]) == (0, True)
    assert "--again" in err
    assert track.read_bytes() == b"precious"
    code, (summary,), _ = run_track(capsys, models, video, "-o", track, "--again")
    assert (code, summary["masks"]) == (0, 30)


def test_a_killed_run_resumes_without_missing_or_repeated_masks(models: Path, tmp_path: Path) -> None:
    times = list(range(0, 150_000, 250))
    video = write(tmp_path / "long.mp4", walking(len(times)), times_ms=times)
    track = tmp_path / "long.mattes"
    command = [
        sys.executable,
        "-m",
        "danmatte",
        "track",
        str(video),
        "-o",
        str(track),
        "--models",
        str(models),
        "--raw",
    ]
    part = tmp_path / ".long.mattes.part"
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 120
        while not (part.exists() and part.stat().st_size > 600) and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not track.exists()
    again = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, check=True)
    summary = json.loads(again.stdout)[0]
    assert summary["resumed_after_ms"] >= 9_000
    assert summary["masks"] == len(times)
    assert 0 < summary["resumed_masks"] < len(times)
    assert not part.exists()
    with TrackReader(track) as found:
        assert [entry.pts_ms for entry in found] == times


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--size", "big"], "expected WIDTHxHEIGHT"),
        (["--fps", "0"], "fps: expected more than 0"),
        (["--margin", "0.06"], "margin: expected 0 to 0.05"),
        (["--margin", "0.02", "--raw"], "margin: expected 0 with raw"),
        (["--region", "persn"], "toy doesn't know 'persn'; did you mean 'person'?"),
        (["--format", "webmasq"], "did you mean '.webmask'"),
        (["--model", "toi"], "did you mean 'toy'"),
        (["--json", "/dev/null/a.json"], "--json: /dev/null/a.json: can't be written (Not a directory)"),
    ],
)
def test_an_invalid_option_is_reported_with_exit_code_2(
    video: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], expected: str
) -> None:
    assert cli.main(["track", str(video), "-o", str(tmp_path / "out"), "--models", str(models), *words]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize("stem", ["a" * 251, "弹幕" * 41 + "abc"])
def test_a_video_with_a_long_name_gets_a_shortened_track_name(stem: str, tmp_path: Path) -> None:
    (job,) = plan_jobs([Path(f"{stem}.mp4")], tmp_path, "mattes")
    assert (job.track.suffix, job.track.name[:70]) == (".mattes", stem[:70])
    job.track.touch()
    name_verdict(job.track).touch()
    with pytest.raises(InvalidParameterError, match="expected one video"):  # shortened, both names would be the same
        plan_jobs([Path(f"{'a' * 250}{end}.mp4") for end in "bc"], tmp_path, "mattes")


def test_two_videos_with_the_same_track_name_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="expected one video, received a"):
        plan_jobs([Path("a.mp4"), Path("a.mkv")], tmp_path, "")


def test_several_videos_need_a_folder_as_output(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="expected a folder"):
        plan_jobs([Path("a.mp4"), Path("b.mp4")], tmp_path / "c.mattes", "")


def test_an_output_folder_that_is_a_file_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(InvalidParameterError, match="expected a folder"):
        plan_jobs([Path("a.mp4")], tmp_path / "out", "")


def test_a_folder_without_videos_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="received none"):
        plan_jobs([tmp_path], tmp_path / "out", "")


def test_the_worst_outcome_is_the_exit_code() -> None:
    kept, failed = KeptTrack("a.mp4", "a.mattes"), FailedTrack("b.mp4", "b.mattes", "no video")
    whole, broken = finish(), finish(broken="the last that can be read is at 9 ms")
    assert choose_exit_code([]) == 0
    assert choose_exit_code([whole, kept]) == 0
    assert choose_exit_code([whole, broken]) == 1
    assert choose_exit_code([broken, failed]) == 2


def finish(broken: str = "", early: int = 0, resumed: int = 0) -> FinishedTrack:
    """Return a summary of 60 masks in two seconds."""
    facts = {
        "frames_before_start": early,
        "inferred": 50,
        "looked_closer": 0,
        "held_share": 0.1,
        "cuts": 3,
        "until_ms": 2000,
        "resumed_masks": resumed,
        "seconds": 2.0,
    }
    words = {"size": "320x180", "frames_out_of_order": 0, "resumed_after_ms": None, "bytes": 777, "broken": broken}
    return FinishedTrack("a.mp4", "a.mattes", masks=60, **facts, **words)


def test_a_summary_states_speed_held_share_and_where_the_video_broke() -> None:
    text = finish().describe()
    assert text == "a.mp4: 60 masks of 320x180 in 2.0 s (30 a second), 10 % held, 3 cuts, 777 bytes: a.mattes"
    assert finish("at 9 ms").describe().splitlines()[1] == "a.mp4: broken: at 9 ms"
    assert finish(early=12).describe().splitlines()[1] == "a.mp4: 12 frames before 0 ms, which no player shows"
    assert finish(early=12).exit_code == 0
    assert "60 masks of 320x180 in 2.0 s (20 a second)" in finish(resumed=20).describe()


@pytest.mark.parametrize(("clock", "first"), [("media", 0), ("file", 1400)])
def test_the_clock_option_selects_the_origin_of_times(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, clock: str, first: int
) -> None:
    stream = write(tmp_path / "walk.ts", walking(30), times_ms=range(1400, 2600, 40))
    code, (summary,), _ = run_track(capsys, models, stream, "-o", tmp_path / "a.mattes", "--clock", clock)
    assert (code, summary["masks"], summary["until_ms"]) == (0, 30, first + 29 * 40)
    with TrackReader(tmp_path / "a.mattes") as track:
        assert [entry.pts_ms for entry in track] == list(range(first, first + 1200, 40))


def test_an_unknown_clock_is_rejected() -> None:
    with pytest.raises(InvalidParameterError, match="clock: expected media or file, received 'wall'"):
        TrackOptions(clock="wall")  # type: ignore[arg-type]


def test_a_plan_has_the_mask_size_and_options_of_its_track() -> None:
    plain, refined = TrackOptions(raw=True).plan(Size(720, 1280)), TrackOptions(closer=True).plan(Size(1280, 720))
    assert (plain.size, plain.stabiliser, plain.refine) == (Size(180, 320), None, False)
    assert (refined.size, refined.stabiliser is not None, refined.refine) == (Size(320, 180), True, True)


def test_segments_of_a_playlist_are_not_listed_as_videos(tmp_path: Path) -> None:
    (tmp_path / "film.m3u8").write_text('#EXTM3U\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:6,\n0.ts\n')
    for name in ("init.mp4", "0.ts", "1.ts"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in list_videos([tmp_path])] == ["1.ts", "film.m3u8"]
    assert list_videos([tmp_path / "0.ts"]) == [tmp_path / "0.ts"]  # a file that is named explicitly is a video


def test_videos_are_recognized_by_suffix_and_hidden_files_are_skipped(tmp_path: Path) -> None:
    """macOS puts a `._NAME` beside each file on a foreign disk."""
    videos = {
        "a.MP4",
        "b.3g2",
        "c.f4v",
        "d.h264",
        "e.265",
        "f.mk3d",
        "g.m2t",
        "h.qt",
        "i.rmvb",
        "j.ivf",
        "k.mjpeg",
        "l.dv",
    }
    for name in videos | {"._a.MP4", ".mp4", "a.mp4.part", "a.txt", "h264", "a.png", "a.mattes"}:
        (tmp_path / name).touch()
    assert {path.name for path in list_videos([tmp_path])} == videos


def test_a_failure_names_its_video_only_once() -> None:
    assert FailedTrack("a.mp4", "a.mattes", "a.mp4: expected a video").describe() == "a.mp4: expected a video"
    assert FailedTrack("a.mp4", "a.mattes", "7 ms: expected pixels").describe() == "a.mp4: 7 ms: expected pixels"
