"""``workbench optimize``, from a tiny graph to a published version."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.workbench import facts, tiny
from workbench import experiment, search
from workbench.cli import main
from workbench.configuration import Configuration
from workbench.dataset import Dataset
from workbench.experiment import Experiment, Findings
from workbench.search import Effort, Plan

LATENCY = Configuration(precision="f32", streams=1, threads=1, infer_requests=1)
THROUGHPUT = Configuration(hint="throughput", precision="f32", streams=1, threads=1, infer_requests=2)
SHORT = Effort(
    "quick",
    (Plan("float", LATENCY), Plan("int8", THROUGHPUT), Plan("no-such-recipe", LATENCY)),
    calibration=3,
    frames=9,
    rounds=2,
    round_s=0.02,
)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "plan", lambda effort: SHORT)


@dataclass(frozen=True)
class Run:
    """What one run left behind."""

    root: Path
    code: int
    out: str
    err: str

    @property
    def told(self) -> dict[str, Any]:
        return json.loads((self.root / "facts.json").read_text("utf-8"))

    def trial(self, recipe: str) -> dict[str, Any]:
        (found,) = [trial for trial in self.told["trials"] if trial["recipe"] == recipe]
        return found


def optimized(root: Path, capsys: pytest.CaptureFixture[str], data: Dataset, *words: str) -> Run:
    graph = tiny.write(root, tiny.BGR).parent / tiny.GRAPH
    places = ["--models", root / "models", "--store", root / "store", "--json", root / "facts.json"]
    line = ["optimize", graph, "--data", data.origin, "--effort", "quick", *places, *words]
    return Run(root, main([str(word) for word in line]), *capsys.readouterr())


def test_the_winner_is_published_with_all_its_numbers(
    labelled: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = optimized(tmp_path, capsys, labelled, "--max-iou-drop", "5")
    assert run.code == 0, run.err
    folder = tmp_path / "models/frozen_inference_graph/1"
    assert f"published {folder} in " in run.out
    assert sorted(path.name for path in folder.iterdir()) == ["graph.bin", "graph.xml", "manifest.json"]
    assert json.loads((folder / "manifest.json").read_text("utf-8"))["input"]["shape"] == [1, 65, 65, 3]
    made_ones_are_measured(run)
    baselines_are_measured(run)
    a_recipe_that_fails_is_a_rejected_trial(run)


def made_ones_are_measured(run: Run) -> None:
    for name in ("float", "int8"):
        trial = run.trial(name)
        assert trial["accepted"], trial
        assert {"iou_drop", "mean_iou", "throughput", "speedup"} <= set(trial["measurements"])
        assert trial["measurements"]["mean_iou"]["value"] > 0.9
        assert len(trial["notes"]) >= 3
    assert run.told["winner"] in {run.trial("float")["name"], run.trial("int8")["name"]}


def baselines_are_measured(run: Run) -> None:
    assert {"TensorFlow, oneDNN on", "TensorFlow, oneDNN off", "OpenVINO, uncut"} <= set(run.told["baselines"])
    assert all("throughput" in measured for measured in run.told["baselines"].values())
    assert run.told["data"] == {"labelled": True, "frames": 9, "calibration_frames": 3}


def a_recipe_that_fails_is_a_rejected_trial(run: Run) -> None:
    failed = run.trial("no-such-recipe")
    assert not failed["accepted"]
    assert "no-such-recipe.toml: can't be read" in failed["broken"][0]


class Disappointment(Experiment):
    """A run in which nothing met the budget."""

    def run(self) -> Findings:
        near = facts.trial("near", facts.measured("iou_drop", 0.6), broken=("iou_drop may reach 0.6",))
        far = facts.trial("far", facts.measured("iou_drop", 9), broken=("iou_drop may reach 9",))
        return facts.findings(self.source, far, near)


def test_an_impossible_budget_ends_with_one_and_tells_all(
    labelled: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "Experiment", Disappointment)
    run = optimized(tmp_path, capsys, labelled)
    assert run.code == 1
    assert "nothing met the budget; the nearest is: near" in run.err
    assert "  far: iou_drop may reach 9\n  near: iou_drop may reach 0.6\n" in run.err
    assert [trial["broken"] for trial in run.told["trials"]] == [["iou_drop may reach 9"], ["iou_drop may reach 0.6"]]
    assert run.told["winner"] is None
    assert not (tmp_path / "models").exists()
