"""``workbench optimize``, from a tiny graph to a published version."""

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench import cli
from danmatte_workbench.errors import BudgetError
from danmatte_workbench.experiment import painting
from danmatte_workbench.report.records import read_run
from tests.workbench import tiny
from tests.workbench.resuming import conduct


@dataclass(frozen=True)
class Run:
    """The files and the output of one run."""

    root: Path
    out: str
    facts: dict[str, Any]

    def trial(self, recipe: str) -> dict[str, Any]:
        return next(trial for trial in self.facts["trials"] if trial["recipe"] == recipe)


def places(root: Path, data: str = "data") -> list[str]:
    """Return the arguments with all output paths in ``root``."""
    found = {"--models": "models", "--store": "store", "--runs": "runs", "--data": data, "--json": "facts.json"}
    return [word for option, name in found.items() for word in (option, str(root / name))]


SLOW_FRAMES = {"latency_p95", "latency_p99"}  # only measured if a race had enough frames


def optimize(root: Path, *words: str, data: str = "data") -> Run:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert conduct([str(root / tiny.GRAPH), *places(root, data), *words]) == 0
    return Run(root, out.getvalue(), json.loads((root / "facts.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph and labelled frames."""
    root = tmp_path_factory.mktemp("optimize")
    tiny.write(root, tiny.BGR)
    tiny.write_scenes(root / "data", 12)
    return root


@pytest.fixture(scope="module")
def first(root: Path) -> Run:
    """A run with a winner."""
    return optimize(root, "--max-iou-drop", "5")


def test_the_winner_is_published_with_its_manifest_and_stored_answers(first: Run) -> None:
    folder = first.root / "models/frozen_inference_graph/1"
    assert f"published {folder} in " in first.out
    assert first.facts["published"] == str(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["answers.json", "graph.bin", "graph.xml", "manifest.json"]
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    assert manifest["inputs"][0]["shape"] == [1, 65, 65, 3]
    assert manifest["recipe"]["name"] == "int8" or manifest["recipe"]["name"] == "float"


def test_every_accepted_trial_is_measured_and_a_finalist_wins(first: Run) -> None:
    for name in ("float", "int8"):
        trial = first.trial(name)
        assert trial["accepted"], trial
        by_share = {"iou_2_to_15", "iou_over_15"}
        speeds = {"throughput", "speedup", "latency"}
        assert {"iou_drop", "mean_iou", *by_share, "boundary_iou", *speeds} == set(trial["measurements"]) - SLOW_FRAMES
        assert trial["measurements"]["mean_iou"]["value"] > 0.9
        assert trial["seconds"] > 0
    assert first.facts["winner"] in {trial["name"] for trial in first.facts["trials"] if trial["finalist"]}


def test_a_candidates_notes_name_the_graph_it_was_made_from(first: Run) -> None:
    assert first.trial("int8")["notes"][-1].startswith("made from ")


def test_all_baselines_race_in_the_same_run(first: Run) -> None:
    assert set(first.facts["baselines"]) == {
        "TensorFlow, oneDNN on",
        "TensorFlow, oneDNN off",
        "OpenVINO, uncut",
        "OpenVINO, uncut, NNCF defaults",
    }
    assert all({"throughput", "speedup", "latency"} <= set(found) for found in first.facts["baselines"].values())
    fastest = first.facts["baselines"][first.facts["fastest_baseline"]]
    assert fastest["speedup"]["value"] == 1
    # The source is compared under this name.
    assert "mean_iou" in first.facts["baselines"]["TensorFlow, oneDNN on"]
    assert first.facts["fastest_baseline"].startswith("TensorFlow")


def test_a_recipe_that_fails_is_a_rejected_trial(first: Run) -> None:
    failed = first.trial("broken")
    assert not failed["accepted"]
    assert "has no node nowhere" in failed["broken"][0]


def test_the_run_folder_holds_the_facts_the_report_and_masks(first: Run) -> None:
    folder = first.root / "runs/frozen_inference_graph/1"
    read = read_run(folder)
    assert json.loads((folder / "run.json").read_text("utf-8")) == first.facts
    assert (folder / "report.html").stat().st_size > 10_000
    assert len(read.masks) == painting.FRAMES
    assert all((folder / "masks" / row.files.winner).exists() for row in read.masks)
    assert read.layers.before
    assert read.layers.after
    assert {layer.precision for layer in read.layers.before} != {layer.precision for layer in read.layers.after}


def test_the_number_of_cached_trials_and_the_expected_time_are_printed(first: Run) -> None:
    cached = next(line for line in first.out.splitlines() if "cached: " in line)
    assert "cached: 0 of 4 trials; about " in cached
    assert "racing" in cached
    assert " left)" in first.out


def test_if_no_trial_meets_the_budget_the_nearest_is_named_and_nothing_published(first: Run) -> None:
    out, impossible = io.StringIO(), ["--max-iou-drop", "5", "--max-latency-ms", "0.0001"]
    with pytest.raises(BudgetError) as refused, contextlib.redirect_stdout(out):
        conduct([str(first.root / tiny.GRAPH), *places(first.root, "data"), *impossible])
    lines = str(refused.value).splitlines()
    assert lines[0].startswith("nothing met the budget; the nearest is: ")
    assert len(lines) == 1  # all reasons were printed under the table
    reasons = [line for line in out.getvalue().splitlines() if line.startswith(("✗", "·")) and ": " in line]
    assert reasons
    assert all("latency may reach" in line or "has no node nowhere" in line for line in reasons)
    read = read_run(first.root / "runs/frozen_inference_graph/2")
    assert read.winner is None
    assert lines[0].endswith(f"nearest is: {read.nearest}")
    assert [path.name for path in (first.root / "models/frozen_inference_graph").iterdir()] == ["1"]


def test_without_true_masks_trials_are_judged_by_agreement_with_the_source(root: Path, first: Run) -> None:
    """The same frames without masks."""
    bare = root / "bare"
    bare.mkdir()
    for path in (root / "data/images").iterdir():
        (bare / path.name).write_bytes(path.read_bytes())
    run = optimize(root, "--effort", "quick", data="bare")
    # Too few frames to reserve some for the confirmation.
    counts = {"frames": 9, "calibration_frames": 3, "choosing_frames": 9, "confirming_frames": 9}
    kinds = {"kinds": {"kind0": 5, "kind1": 4}, "kinds_found": False}
    assert run.facts["data"] == {"origin": str(bare), "labelled": False, **kinds, **counts}
    assert run.facts["budget"]["max_iou_drop"] == 2
    measured = set(run.trial("int8")["measurements"]) - SLOW_FRAMES
    assert measured == {"iou_drop", "throughput", "speedup", "latency"}
    assert run.facts["winner"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--max-iou-drop", "-1"], "--max-iou-drop: expected points from 0 to 100, such as 0.5, received -1"),
        (["--max-latency-ms", "0"], "--max-latency-ms: expected more than 0, received 0"),
        (["--max-disagreement", "101"], "--max-disagreement: expected points from 0 to 100, such as 0.5, received 101"),
        (["--size", "wide"], "--size: expected WIDTHxHEIGHT or a ratio such as 16:9, received wide"),
        (["--trial-s", "0"], "--trial-s: expected more than 0, received 0"),
        (["--trial-memory-gib", "-2"], "--trial-memory-gib: expected more than 0, received -2"),
    ],
)
def test_an_option_out_of_its_range_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], words: list[str], says: str
) -> None:
    assert cli.main(["optimize", str(root / tiny.GRAPH), *words]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("text", ["a little", "nan"])
def test_a_budget_that_is_not_a_number_is_refused(root: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["optimize", str(root / tiny.GRAPH), "--max-iou-drop", text])
    assert ended.value.code == 2
    assert f"--max-iou-drop: expected points of IoU, such as 0.5, received '{text}'" in capsys.readouterr().err


def test_a_missing_device_exits_with_3(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["optimize", str(root / tiny.GRAPH), "--device", "GPU.7"]) == 3
    assert "GPU.7" in capsys.readouterr().err
