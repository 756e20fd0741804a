"""``workbench evaluate``: the source graph and what was made of it, on the same pictures."""

import json
from pathlib import Path

import pytest

from danmatte_workbench.cli import main
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.metrics import score_mask
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.publish import publish
from danmatte_workbench.source import Source
from tests.workbench import facts, tiny
from tests.workbench.conftest import Build


def evaluated(model: object, data: Path, models: Path, target: Path) -> dict:
    words = ["evaluate", str(model), "--data", str(data), "--models", str(models), "--json", str(target)]
    assert main(words) == 0
    return json.loads(target.read_text("utf-8"))


@pytest.fixture
def models(plain: Source, tmp_path: Path, built: Build) -> Path:
    tiny.write(tmp_path / "models/tiny", tiny.PLAIN)
    publish(facts.trial("float", artifact=built(tiny.PLAIN)), plain, tmp_path / "models")
    return tmp_path / "models"


def test_a_model_is_measured_by_kind_of_scene(plain: Source, labelled: Dataset, models: Path, tmp_path: Path) -> None:
    told = evaluated("tiny", labelled.origin, models, tmp_path / "out.json")
    name = labelled.origin.name
    assert set(told["scenes"]) == {name, f"{name}: kind0", f"{name}: kind1"}
    scores = [
        score_mask(sample.name, mask, sample.truth)
        for sample, mask in Subject.from_source(plain).predict_masks(labelled)
    ]
    with_people = [item.iou for item in scores if item.truth]
    assert told["scenes"][name]["mean_iou"]["value"] == pytest.approx(sum(with_people) / len(with_people))
    assert told["scenes"][name]["false_positives"]["samples"] == len(scores) - len(with_people)


@pytest.mark.parametrize("version", ["tiny/1", "{models}/tiny/1"])
def test_a_published_version_agrees_with_its_source(
    labelled: Dataset, models: Path, tmp_path: Path, version: str
) -> None:
    source = evaluated("tiny", labelled.origin, models, tmp_path / "source.json")
    made = evaluated(version.format(models=models), labelled.origin, models, tmp_path / "made.json")
    before, after = (told["scenes"][labelled.origin.name]["mean_iou"]["value"] for told in (source, made))
    assert after == pytest.approx(before, abs=0.02)


def test_a_published_version_that_cannot_be_read_is_refused(labelled: Dataset, models: Path) -> None:
    (models / "tiny/1/manifest.json").write_text("{}")
    words = ["evaluate", "tiny/1", "--data", str(labelled.origin), "--models", str(models)]
    assert main(words) == 2
