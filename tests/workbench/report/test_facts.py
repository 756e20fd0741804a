"""The run as JSON: complete, readable by reports, and written atomically."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.result import Analysis, ExperimentResult
from danmatte_workbench.experiment.trial import LevelAccuracy
from danmatte_workbench.report import facts, records
from danmatte_workbench.report.facts import Invocation
from danmatte_workbench.source import Source
from tests.workbench import tiny
from tests.workbench.conftest import Build
from tests.workbench.facts import measured, result, trial

FAILED = trial("int8", broken=("MachineError: its process died",))
CALL = Invocation(("workbench", "optimize"), "2026-01-02T03:04:05Z", 12.0)
FIGURE = {"value": 1.0, "low": 0.9, "high": 1.1, "unit": "frames/s", "samples": 5}
SEEN = Analysis(
    before=[{"name": "conv", "kind": "Convolution", "precision": "f32", "kernel": "brgconv", "ms": 1.5}],
    after=[{"name": "conv", "kind": "Convolution", "precision": "i8", "kernel": "brgconv", "ms": 0.5}],
    sweep=[
        {
            "who": "float",
            "batch": 1,
            "streams": 2,
            "threads": 2,
            "requests": 4,
            "pinning": True,
            "throughput": FIGURE,
            "latency": FIGURE,
            "agreed": True,
        }
    ],
    isa=[{"isa": "AVX2", "who": "float", "effective": "AVX2", "measurements": {"throughput": FIGURE}}],
    masks=[
        {
            "frame": "a.jpg",
            "size": [4, 6],
            "files": {"frame": "01-frame.jpg", "source": "01-source.png", "winner": "01-winner.png"},
            "iou": 0.9,
        }
    ],
)


def describe(found: ExperimentResult, invocation: Invocation = CALL) -> dict[str, Any]:
    return json.loads(json.dumps(facts.describe_run(found, invocation)))


def test_every_trial_is_written_with_its_numbers_and_reasons(plain: Source, built: Build, tmp_path: Path) -> None:
    winner = trial("float", measured("throughput", 90, low=80, high=99), artifact=built(tiny.PLAIN))
    written = describe(result(plain, winner, FAILED, winner=winner), replace(CALL, published=tmp_path / "tiny/1"))
    assert (written["winner"], written["nearest"], written["published"]) == ("float", None, str(tmp_path / "tiny/1"))
    assert written["source"] == {
        "name": "tiny",
        "digest": plain.digest,
        "format": "frozen",
        "meaning": "person",
        "size": [65, 65],
    }
    first, second = written["trials"]
    assert first["measurements"]["throughput"] == {"value": 90, "low": 80, "high": 99, "unit": "u", "samples": 5}
    assert (first["accepted"], first["digest"]) == (True, winner.candidate.digest)
    assert (second["accepted"], second["broken"]) == (False, ["MachineError: its process died"])
    assert set(written["baselines"]["TensorFlow, oneDNN on"]) == {"throughput", "speedup"}
    assert written["host"]["features"] == ["avx2"]
    assert written["host"]["threads_from"]
    assert "openvino" in written["versions"]
    expected = {"objective": "throughput", "effort": "quick", "started": "2026-01-02T03:04:05Z"}
    assert expected.items() <= written.items()


def test_the_parent_of_a_candidate_is_noted(plain: Source, built: Build) -> None:
    winner = trial("float", measured("throughput", 90), artifact=built(tiny.PLAIN))
    child = replace(winner, candidate=replace(winner.candidate, parent="e" * 64))
    assert describe(result(plain, child, winner=child))["trials"][0]["notes"][-1] == f"made from {'e' * 64}"


def test_a_run_without_a_winner_names_the_nearest_trial(plain: Source) -> None:
    near = trial("near", measured("iou_drop", 0.7), broken=("iou_drop may reach 0.7",))
    written = describe(result(plain, FAILED, near))
    assert (written["winner"], written["nearest"], written["published"]) == (None, "near", None)
    assert describe(result(plain, FAILED))["nearest"] is None


def test_a_written_run_is_read_back_by_the_report(plain: Source, built: Build, tmp_path: Path) -> None:
    winner = trial("float", measured("throughput", 90, low=80, high=99), artifact=built(tiny.PLAIN))
    winner = replace(winner, levels=(LevelAccuracy("AVX2", measured("iou_drop", 0.25)),))
    found = replace(result(plain, winner, FAILED, winner=winner), analysis=SEEN)
    facts.write(facts.describe_run(found, CALL), tmp_path / records.FILE)
    read = records.read_run(tmp_path)
    assert read.winner == "float"
    assert read.chosen
    assert {level: lost.value for level, lost in read.chosen.levels.items()} == {"AVX2": 0.25}
    assert [layer.precision for layer in (*read.layers.before, *read.layers.after)] == ["f32", "i8"]
    assert (len(read.sweep), len(read.isa), len(read.masks)) == (1, 1, 1)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    facts.write({"a": 1}, path)
    for impossible in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            facts.write({"a": impossible}, path)
    assert json.loads(path.read_text("utf-8")) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["facts.json"]


def test_an_unwritable_folder_is_reported_as_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        facts.write({"a": 1}, tmp_path / "file" / "facts.json")
