"""The command `danmatte assess`, with a network that scores bright pictures high."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from danmatte import cli
from danmatte.errors import ModelError
from danmatte.models.standalone import open_version
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.judge import Judge
from tests.service.quality.pictures import draw_scene
from tests.service.tracks.videos import write

Run = tuple[int, list[dict[str, Any]], str]
HEIGHT, WIDTH = 180, 320


@pytest.fixture
def models(judging_models: Path) -> Path:
    return judging_models


def pan(count: int, *, seed: int = 1, light: float = 1.0) -> list[np.ndarray]:
    """Return pictures of a camera that pans over a scene."""
    scene = (draw_scene(HEIGHT, WIDTH + 4 * count, seed) * light).astype(np.uint8)
    return [np.ascontiguousarray(scene[:, 4 * at : 4 * at + WIDTH]) for at in range(count)]


def assess(capsys: pytest.CaptureFixture[str], models: Path, *words: object) -> Run:
    code = cli.main(["assess", *map(str, words), "--models", str(models), "--json", "-"])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else [], err


def test_a_video_gets_a_verdict_with_its_shots_and_samples(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write(tmp_path / "two.mp4", pan(50, light=0.7) + pan(50, seed=5, light=0.3))
    code, (found,), err = assess(capsys, models, video, "--fps", 5)
    assert code == 0
    assert found["model"] == "quality/1"
    assert (found["size"], found["duration_ms"], found["frames"], found["kind"]) == ("320x180", 4000, 100, "camera")
    assert [(shot["from_ms"], shot["to_ms"]) for shot in found["shots"]] == [(0, 2000), (2000, 4000)]
    good, bad = (shot["score"] for shot in found["shots"])
    assert good > bad + 20
    assert bad < found["score"] < (good + bad) / 2  # the worst counts more
    assert [sample["pts_ms"] for sample in found["samples"]] == list(range(0, 4000, 200))
    assert found["parts"].keys() == {"sharpness", "blocking", "noise", "banding", "exposure"}
    assert f"{video}: {found['grade']}, {int(found['score'])} of 100 (camera, 2 shots" in err


def test_a_frozen_second_is_reported_and_lowers_the_score(models: Path, tmp_path: Path) -> None:
    pictures = pan(75)
    judge = Judge(open_version(models, "quality"))
    whole = assess_video(write(tmp_path / "whole.mp4", pictures), AssessOptions(), judge)
    stuck = pictures[:25] + [pictures[25]] * 25 + pictures[50:]
    frozen = assess_video(write(tmp_path / "stuck.mp4", stuck), AssessOptions(), judge)
    assert (whole.frozen_share, whole.dropped_share) == (0, 0)
    assert frozen.frozen_share == pytest.approx(1 / 3, abs=0.03)
    assert frozen.score < whole.score - 15


def test_black_frames_are_reported_and_get_no_score(models: Path, tmp_path: Path) -> None:
    black = [np.full((HEIGHT, WIDTH), 0, np.uint8)] * 25
    judge = Judge(open_version(models, "quality"))
    found = assess_video(write(tmp_path / "fade.mp4", black + pan(75)), AssessOptions(), judge)
    assert found.black_share == pytest.approx(0.25, abs=0.02)
    assert found.samples[0].score is None
    assert found.samples[-1].score is not None
    nothing = assess_video(write(tmp_path / "black.mp4", black), AssessOptions(), judge)
    assert (nothing.score, nothing.grade, nothing.parts) == (0, "E", None)


def test_letterbox_bars_are_reported_and_do_not_affect_the_score(models: Path, tmp_path: Path) -> None:
    pictures = [cv2.copyMakeBorder(each, 30, 30, 0, 0, cv2.BORDER_CONSTANT, value=0) for each in pan(50, light=0.6)]
    judge = Judge(open_version(models, "quality"))
    bare = assess_video(write(tmp_path / "bare.mp4", pan(50, light=0.6)), AssessOptions(), judge)
    found = assess_video(write(tmp_path / "bars.mp4", pictures), AssessOptions(), judge)
    assert found.letterbox.top == pytest.approx(30 / 240, abs=0.01)
    assert found.letterbox.left == 0
    assert found.score == pytest.approx(bare.score, abs=3)


def test_letterbox_bars_of_a_rotated_video_do_not_affect_the_score(models: Path, tmp_path: Path) -> None:
    large = [cv2.resize(each, None, fx=2, fy=2) for each in pan(25, light=0.6)]
    upright = [cv2.copyMakeBorder(each, 200, 200, 0, 0, cv2.BORDER_CONSTANT, value=0) for each in large]
    turned = [np.ascontiguousarray(np.rot90(each, -1)) for each in upright]
    judge = Judge(open_version(models, "quality"))
    expected = assess_video(write(tmp_path / "upright.mp4", upright), AssessOptions(), judge)
    found = assess_video(write(tmp_path / "turned.mp4", turned, rotation=90), AssessOptions(), judge)
    assert (found.size, found.letterbox) == (expected.size, expected.letterbox)
    assert found.letterbox.top > 0.2
    assert found.score == pytest.approx(expected.score, abs=3)


def test_the_share_of_people_is_measured_with_the_model_for_masks(models: Path, tmp_path: Path) -> None:
    judge, masks = Judge(open_version(models, "quality")), open_version(models)
    pictures = pan(50, light=0.3)
    for picture in pictures:
        picture[60:180, 100:200] = 250
    video = write(tmp_path / "person.mp4", pictures)
    found = assess_video(video, AssessOptions(), judge, masks)
    assert found.people_share == pytest.approx(120 * 100 / (HEIGHT * WIDTH), abs=0.05)
    assert found.shot_scale == "medium"
    assert assess_video(video, AssessOptions(), judge).people_share is None


def test_the_exit_code_is_that_of_the_worst_video(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "good.mp4", pan(25, light=1.0))
    dim = write(tmp_path / "dim.mp4", pan(25, light=0.35))
    assert assess(capsys, models, tmp_path)[0] == 0
    code, found, _ = assess(capsys, models, tmp_path, "--min-grade", "c")
    assert code == 1
    assert [Path(each["video"]).name for each in found] == ["dim.mp4", "good.mp4"]
    (tmp_path / "none.mp4").write_bytes(b"none")
    code, found, err = assess(capsys, models, tmp_path, "--min-grade", "C")
    assert code == 2
    assert "expected a video" in found[2]["error"]
    assert "none.mp4: " in err
    assert assess(capsys, models, dim, "--min-grade", "E")[0] == 0


def test_an_html_page_and_an_svg_timeline_are_written(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write(tmp_path / "a <b>.mp4", pan(50))
    code, (found,), _ = assess(
        capsys, models, video, "--html", tmp_path / "out/page.html", "--svg", tmp_path / "out/line.svg"
    )
    assert code == 0
    page = (tmp_path / "out/page.html").read_text("utf-8")
    assert "a &lt;b&gt;.mp4" in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert (tmp_path / "out/line.svg").read_text("utf-8") in page
    assert found["grade"] in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--min-grade", "F"), "expected A, B, C, D, E, received 'F'"),
        (("--fps", "0"), "fps: expected more than 0"),
        (("--model", "toi"), "did you mean 'toy'"),
        (("--html", "/dev/null/a.html"), "--html: /dev/null/a.html: can't be written (Not a directory)"),
        (("--html", "/dev"), "--html: /dev: can't be written (Is a directory)"),
        (("--model", "toy"), "toy/1: expected one picture input and a score output"),
    ],
)
def test_an_invalid_option_is_reported_before_any_video_is_decoded(
    words: tuple[str, ...], expected: str, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found, err = assess(capsys, models, tmp_path / "none.mp4", *words)
    assert code != 0
    assert not found
    assert expected in err


def test_a_timeline_of_several_videos_is_rejected(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = assess(capsys, models, tmp_path / "a.mp4", tmp_path / "b.mp4", "--svg", tmp_path / "a.svg")
    assert code == 2
    assert "expected one video, received 2" in err


def test_a_model_without_a_score_output_is_rejected_as_judge(models: Path) -> None:
    with pytest.raises(ModelError, match="a score out"):
        Judge(open_version(models, "toy"))
