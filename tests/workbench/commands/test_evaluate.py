"""``workbench evaluate``: a source graph and its published version, on the same pictures."""

import json
import re
from pathlib import Path

import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.metrics import Metric, score_mask
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.publish import publish
from danmatte_workbench.source import Source
from tests.workbench import facts, graphs, tiny
from tests.workbench.conftest import Build


def evaluate(model: object, data: Path, models: Path, target: Path) -> dict:
    words = ["evaluate", str(model), "--data", str(data), "--models", str(models), "--json", str(target)]
    assert main(words) == 0
    return json.loads(target.read_text("utf-8"))


@pytest.fixture
def models(plain: Source, tmp_path: Path, built: Build) -> Path:
    tiny.write(tmp_path / "models/tiny", tiny.PLAIN)
    publish(facts.trial("float", artifact=built(tiny.PLAIN)), plain, tmp_path / "models")
    return tmp_path / "models"


def test_metrics_are_reported_for_each_kind_of_scene(
    plain: Source, labelled: Dataset, models: Path, tmp_path: Path
) -> None:
    written = evaluate("tiny", labelled.origins[0], models, tmp_path / "out.json")
    name = labelled.origins[0].name
    assert set(written["scenes"]) == {name, f"{name}: kind0", f"{name}: kind1"}
    scores = [
        score_mask(sample.name, mask, sample.truth)
        for sample, mask in Subject.from_source(plain).predict_masks(labelled)
    ]
    with_people = [item.iou for item in scores if item.truth]
    assert written["scenes"][name]["mean_iou"]["value"] == pytest.approx(sum(with_people) / len(with_people))
    assert written["scenes"][name]["false_positives"]["samples"] == len(scores) - len(with_people)


@pytest.mark.parametrize("version", ["tiny/1", "{models}/tiny/1"])
def test_a_published_version_is_as_accurate_as_its_source(
    labelled: Dataset, models: Path, tmp_path: Path, version: str
) -> None:
    source = evaluate("tiny", labelled.origins[0], models, tmp_path / "source.json")
    made = evaluate(version.format(models=models), labelled.origins[0], models, tmp_path / "made.json")
    before, after = (written["scenes"][labelled.origins[0].name]["mean_iou"]["value"] for written in (source, made))
    assert after == pytest.approx(before, abs=0.02)


def test_a_published_version_with_an_invalid_manifest_is_refused(labelled: Dataset, models: Path) -> None:
    (models / "tiny/1/manifest.json").write_text("{}")
    words = ["evaluate", "tiny/1", "--data", str(labelled.origins[0]), "--models", str(models)]
    assert main(words) == 2


def test_every_metric_has_a_column_and_unmeasured_ones_show_a_dash(
    labelled: Dataset, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    people = [name for name in labelled.names if name not in ("kind0_04.png", "kind1_09.png")]
    data = models.parent / "people"
    for kind in ("images", "masks"):
        (data / kind).mkdir(parents=True)
        for name in people:
            (data / kind / name).write_bytes((labelled.origins[0] / kind / name).read_bytes())
    assert main(["evaluate", "tiny", "--data", str(data), "--models", str(models)]) == 0
    printed = capsys.readouterr().out
    for metric in Metric.all.values():
        assert metric.heading in printed
    row = next(line for line in printed.splitlines() if line.startswith("│ people "))
    column = [metric.kind for metric in Metric.all.values()].index("false_positives") - len(Metric.all) - 1
    assert row.split("│")[column].strip() == "–"  # all pictures have people, so nothing is measured
    assert f"{len(people)}" in row


def test_output_to_a_pipe_truncates_no_number(
    labelled: Dataset, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert main(["evaluate", "tiny", "--data", str(labelled.origins[0]), "--models", str(models)]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    rows = [line for line in printed.splitlines() if re.search(r"\b\d\.\d{4}\b", line)]
    assert len(rows) == 3
    assert all(len(re.findall(r"\b\d\.\d{4}\b", row)) >= 5 for row in rows)


def test_each_data_folder_has_its_own_row(labelled: Dataset, models: Path, tmp_path: Path) -> None:
    other = tiny.write_scenes(tmp_path / "other", 2)
    target = tmp_path / "out.json"
    words = ["evaluate", "tiny", "--data", str(labelled.origins[0]), "--data", str(other), "--models", str(models)]
    assert main([*words, "--json", str(target)]) == 0
    written = json.loads(target.read_text("utf-8"))
    assert {labelled.origins[0].name, "other"} <= set(written["scenes"])
    assert written["model"] == "tiny"
    assert written["host"]["cores"] >= 1


def test_data_folders_with_the_same_name_are_distinguished_by_their_parents(models: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    words = ["evaluate", "tiny", "--models", str(models), "--json", str(target)]
    for name in ("a", "b"):
        words += ["--data", str(tiny.write_scenes(tmp_path / name / "val", 2))]
    assert main(words) == 0
    assert {"a/val", "b/val"} <= set(json.loads(target.read_text("utf-8"))["scenes"])


def test_frames_without_masks_are_refused(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = tiny.write_scenes(tmp_path / "bare", 2, masks=False)
    assert main(["evaluate", "tiny", "--data", str(bare), "--models", str(models)]) == 2
    assert "expected masks/ beside images/" in capsys.readouterr().err


def test_a_graph_whose_output_is_not_a_mask_is_refused(
    labelled: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = graphs.write_classifier(tmp_path / "classifier.onnx")
    assert main(["evaluate", str(graph), "--data", str(labelled.origins[0])]) == 2
    assert "expected a graph whose output is a mask of people" in capsys.readouterr().err
