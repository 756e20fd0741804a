"""`danmatte track --assess`: the verdict in the same pass, beside the track."""

import json
from pathlib import Path
from typing import Any

import pytest

from danmatte import cli
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.companion import Companion, count_people, name_verdict
from danmatte.quality.judge import Judge
from danmatte.video.reader import Video
from tests.service.tracks.videos import walking, write


def track(capsys: pytest.CaptureFixture[str], models: Path, *words: object) -> tuple[int, list[dict[str, Any]], str]:
    code = cli.main(["track", *map(str, words), "--models", str(models), "--json", "-", "--assess"])
    out, err = capsys.readouterr()
    return code, json.loads(out), err


def test_track_with_assess_gives_the_verdict_of_a_separate_assessment(
    judging_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = write(tmp_path / "walk.mp4", walking(60)), tmp_path / "walk.mattes"
    code, (summary,), err = track(capsys, judging_models, video, "-o", out)
    assert (code, summary["masks"]) == (0, 60)
    verdict = json.loads(name_verdict(out).read_text())
    alone = assess_video(video, AssessOptions(), Judge.open(judging_models), people=count_people(out))
    assert verdict["score"] == alone.score
    assert verdict["parts"]["sharpness"] == pytest.approx(alone.parts.sharpness if alone.parts else None)
    assert verdict["people_share"] == alone.people_share
    assert verdict["people_share"] > 0
    assert f"{video}: {verdict['grade']}, " in err


def test_people_are_not_counted_in_masks_of_other_regions(judging_models: Path, tmp_path: Path) -> None:
    path, out = write(tmp_path / "walk.mp4", walking(30)), tmp_path / "walk.mattes"
    assert cli.main(["track", str(path), "-o", str(out), "--models", str(judging_models)]) == 0
    judge = Judge.open(judging_models)
    assert Companion(judge).conclude(path, out, whole=False).people_share
    assert Companion(judge, counts_people=False).conclude(path, out, whole=False).people_share is None


def test_an_existing_verdict_is_kept_and_a_missing_one_is_made(
    judging_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = write(tmp_path / "walk.mp4", walking(30)), tmp_path / "walk.mattes"
    track(capsys, judging_models, video, "-o", out)
    verdict = name_verdict(out)
    made = json.loads(verdict.read_text())
    verdict.write_text("kept")
    _, _, err = track(capsys, judging_models, video, "-o", out)
    assert verdict.read_text() == "kept"
    assert f"{verdict} stays" in err
    verdict.unlink()
    track(capsys, judging_models, video, "-o", out)
    assert json.loads(verdict.read_text())["score"] == made["score"]


def test_a_video_observed_only_in_part_is_decoded_again(judging_models: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "walk.mp4", walking(50))
    out = tmp_path / "walk.mattes"
    assert cli.main(["track", str(path), "-o", str(out), "--models", str(judging_models)]) == 0
    companion = Companion(Judge.open(judging_models))
    with Video(path) as video:
        observer = companion.watch(video)
        for frame in video.read_frames(1000):
            observer.observe(frame, frame.to_grey(video.size), cut=False)
    assert companion.conclude(path, out, whole=False).frames == 50


def test_a_video_that_cannot_be_tracked_gets_no_verdict(
    judging_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "none.mp4").write_bytes(b"none")
    code, _, err = track(capsys, judging_models, tmp_path / "none.mp4", "-o", tmp_path / "none.mattes")
    assert code == 2
    assert "none.mp4: not assessed" in err
    assert not list(tmp_path.glob("*.quality.json"))
