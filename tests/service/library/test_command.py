"""The command `danmatte library`, with its own processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from danmatte import cli
from danmatte.library.place import open_storage
from danmatte.tracks import TrackReader
from tests.service.library.poison import poison
from tests.service.tracks.videos import walking, write


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "deep").mkdir(parents=True)
    write(folder / "a.mp4", walking(10))
    write(folder / "deep/b.mkv", walking(5))
    return folder


def run_library(
    capsys: pytest.CaptureFixture[str], models: Path, *words: object
) -> tuple[int, list[dict[str, Any]], str]:
    code = cli.main(["library", *map(str, words), "--models", str(models), "--json", "-"])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_good_videos_get_tracks_once_and_bad_videos_are_given_up(
    videos: Path,
    models: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    for name in ("crash.mp4", "hang.mp4", "nonsense.mp4"):
        (videos / name).write_bytes(b"no video")
    words = (videos, tmp_path / "tracks", "--max-attempts", 2, "--stall-timeout-s", 5, "--workers", 1)
    code, results, err = run_library(capsys, models, *words)
    assert code == 1
    found = {result["video"]: result for result in results}
    assert {name: result["state"] for name, result in found.items()} == {
        "a.mp4": "made",
        "deep/b.mkv": "made",
        "crash.mp4": "given up",
        "hang.mp4": "given up",
        "nonsense.mp4": "given up",
    }
    assert found["crash.mp4"]["reason"] == "its process ended by SIGSEGV"
    assert found["hang.mp4"]["reason"] == "no frame for 5 s"
    assert "expected a video" in found["nonsense.mp4"]["reason"]
    assert "crash.mp4: given up after 2 attempts" in err
    with TrackReader(tmp_path / "tracks" / found["a.mp4"]["track"]) as track:
        assert [entry.pts_ms for entry in track] == list(range(0, 400, 40))
        assert track.header.film is not None
    code, results, err = run_library(capsys, models, *words)  # everything is finished, so no process is needed
    assert code == 1
    assert sorted(result["state"] for result in results) == ["given up"] * 3 + ["kept"] * 2
    assert "5 units, 2 of them finished before" in err


def test_assess_writes_a_verdict_beside_each_track_once(
    videos: Path, judging_models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = (videos, tmp_path / "tracks", "--workers", 1)
    run_library(capsys, judging_models, *words, "--model", "toy")
    code, results, err = run_library(capsys, judging_models, *words, "--model", "toy", "--assess")
    assert code == 0
    assert [result["state"] for result in results] == ["judged", "judged"]
    assert "A  B  C  D  E" in err
    for result in results:
        verdict = json.loads((tmp_path / "tracks" / result["verdict"]).read_text())
        assert (verdict["video"], verdict["grade"]) == (result["video"], result["grade"])
    code, results, err = run_library(capsys, judging_models, *words, "--model", "toy", "--assess")
    assert (code, [result["state"] for result in results]) == (0, ["kept", "kept"])
    assert "2 units, 2 of them finished before" in err


def test_masks_have_the_requested_region_and_margin(
    videos: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    painted = []
    for words in ((), ("--margin", 0.05), ("--region", "person")):
        target = tmp_path / "-".join(map(str, ["tracks", *words]))
        code, results, _ = run_library(capsys, models, videos / "deep", target, "--workers", 1, *words)
        assert code == 0
        with TrackReader(target / results[0]["track"]) as track:
            painted.append(sum(int(entry.mask.sum()) for entry in track))
    plain, wide, region = painted
    assert wide > plain > 0
    assert region == plain


def test_a_dry_run_prints_the_number_of_units_and_writes_nothing(
    videos: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main(["library", str(videos), str(tmp_path / "out"), "--models", str(models), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith("2 units, ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--shard", "2/2"], "shard: expected I/N"),
        (["--size", "big"], "expected WIDTHxHEIGHT"),
        (["--format", "webmasq"], "did you mean '.webmask'"),
        (["--workers", "1000"], "workers: expected 1 to"),
        (["--model", "toi"], "did you mean 'toy'"),
        (["--region", "persom"], "did you mean 'person'"),
        (["--margin", "0.5"], "margin: expected 0 to 0.05"),
        (["--assess"], "expected a model's name, received 'quality'"),
    ],
)
def test_an_invalid_option_is_reported_with_exit_code_2(
    videos: Path, models: Path, capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    assert cli.main(["library", str(videos), str(videos / "out"), "--models", str(models), *words]) == 2
    assert expected in capsys.readouterr().err


def test_a_source_that_is_not_a_folder_is_reported(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    for source in (tmp_path / "file", tmp_path / "misspelt"):
        assert cli.main(["library", str(source), str(tmp_path / "out"), "--models", str(models)]) == 2
        assert "expected a folder" in capsys.readouterr().err


def test_videos_with_unusual_file_names_get_tracks(
    models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    plain = write(folder / "plain.mp4", walking(3))
    odd = [b"caf\xe9.mp4", "弹".encode() * 83 + b".mp4", b"two\nlines.mp4", b"- 'quoted' %s {}.mp4"]
    for name in map(os.fsdecode, odd):
        (folder / name).write_bytes(plain.read_bytes())
    plain.unlink()
    code, results, err = run_library(capsys, models, folder, tmp_path / "tracks", "--workers", 1)
    assert code == 0, err
    assert sorted(os.fsencode(result["video"]) for result in results) == sorted(odd)
    assert {result["state"] for result in results} == {"made"}
    code, results, _ = run_library(capsys, models, folder, tmp_path / "tracks", "--workers", 1)
    assert (code, {result["state"] for result in results}) == (0, {"kept"})


def test_a_run_stopped_by_sigterm_exits_with_143_and_records_no_attempt(
    models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/hang.mp4").write_bytes(b"no video")
    command = [sys.executable, "-m", "danmatte", "library", "videos", "tracks", "--models", str(models)]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "1 units" in process.stderr.readline()
        attempts = tmp_path / "tracks/.danmatte/attempts"
        while not (attempts.exists() and list(attempts.iterdir())):
            os.sched_yield()
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 143
    assert list(attempts.iterdir()) == []


def test_a_library_in_object_storage_gets_its_tracks(
    bucket: str, videos: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = open_storage(f"{bucket}/videos"), open_storage(f"{bucket}/tracks")
    source.create("deep/a.mp4", (videos / "a.mp4").read_bytes())
    words = (source.place, target.place, "--workers", 1)
    code, (result,), _ = run_library(capsys, models, *words)
    assert (code, result["state"], result["masks"]) == (0, "made", 10)
    assert [file.name for file in target.list_files()] == [result["track"]]
    assert list(target.list_files(".danmatte")) == []
    code, (result,), _ = run_library(capsys, models, *words)
    assert (code, result["state"]) == (0, "kept")


def test_a_large_video_is_processed_in_parts_and_gets_one_track(
    videos: Path, models: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, results, _ = run_library(
        capsys, models, videos / "deep", tmp_path / "tracks", "--split-mib", 0.001, "--workers", 1
    )
    assert code == 0
    assert len(results) > 1
    assert [result["track"] != "" for result in results].count(True) >= 1
    assert len(list((tmp_path / "tracks").glob("*.mattes"))) == 1
    assert {result["part"].split()[-1] for result in results} == {str(len(results))}
