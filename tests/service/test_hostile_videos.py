"""Hostile videos in every command that decodes videos: none crashes the process, each failure has a reason."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.service.tracks.hostile import Case, list_cases

CASES = {case.name: case for case in list_cases()}
LIVE = """
import sys
from pathlib import Path
from danmatte import cli
models, target, *videos = sys.argv[1:]
for number, video in enumerate(videos):
    Path(target, str(number)).mkdir()
    print("code", cli.main(["live", video, f"{target}/{number}/masks.m3u8", "--models", models]), flush=True)
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all hostile videos."""
    folder = tmp_path_factory.mktemp("hostile")
    for case in CASES.values():
        case.make(folder / case.name)
    return folder


def run(*words: object) -> tuple[int, str, str]:
    """Run a separate process, which may crash; return its exit code, standard output and standard error."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
    assert done.returncode >= 0, f"ended by signal {-done.returncode}: {done.stderr[-2000:]}"
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return done.returncode, done.stdout, done.stderr


def check(case: Case, masks: int, sentence: str) -> None:
    """Check that a video has masks or a reason, and that the reason is the expected one."""
    assert masks > 0 or sentence, case.name
    assert case.says in sentence
    if not masks:
        assert "Error" not in sentence, f"{case.name}: {sentence}"  # the name of an exception is no sentence


def test_each_hostile_video_gets_a_track_or_an_error_with_a_reason(videos: Path, models: Path, tmp_path: Path) -> None:
    words = ("track", videos, "-o", tmp_path / "tracks", "--models", models, "--json", "-", "--closer")
    _, out, _ = run("-m", "danmatte", *words)
    summaries = {Path(each["video"]).name: each for each in json.loads(out)}
    assert len(summaries) == len([name for name in CASES if name != "folder.mp4"])
    for name, summary in summaries.items():
        check(CASES[name], summary.get("masks", 0), summary.get("error", ""))


@pytest.mark.slow
def test_each_hostile_video_gets_a_verdict_or_an_error_with_a_reason(videos: Path, judging_models: Path) -> None:
    words = ("assess", videos, "--models", judging_models, "--people-model", "toy", "--json", "-")
    _, out, _ = run("-m", "danmatte", *words)
    for found in json.loads(out):
        check(CASES[Path(found["video"]).name], found.get("frames", 0), found.get("error", ""))


@pytest.mark.slow
def test_hostile_videos_in_a_library_crash_no_worker(videos: Path, judging_models: Path, tmp_path: Path) -> None:
    words = (videos, tmp_path / "tracks", "--models", judging_models, "--model", "toy", "--workers", 1, "--assess")
    _, out, _ = run("-m", "danmatte", "library", *words, "--max-attempts", 1, "--json", "-")
    results: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert len(results) == len([name for name in CASES if name != "folder.mp4"])
    for result in results:
        assert "its process ended" not in result["reason"], result
        check(CASES[result["video"]], result["masks"], result["reason"])


@pytest.mark.slow
def test_live_streams_of_hostile_videos_succeed_or_end_with_a_reason(
    videos: Path, models: Path, tmp_path: Path
) -> None:
    # Pixel formats and long files are left out, because a live stream takes as long as its video.
    left_out = ("pixels-", "folder", "truncated-0.5", "truncated-0.7", "truncated-0.99")
    chosen = [name for name in CASES if not name.startswith(left_out)]
    _, out, err = run("-c", LIVE, models, tmp_path, *(videos / name for name in chosen))
    codes = [int(line.split()[1]) for line in out.splitlines() if line.startswith("code")]
    assert len(codes) == len(chosen)
    for name, code in zip(chosen, codes, strict=True):
        assert code == 0 or name in err, name
