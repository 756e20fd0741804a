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


def test_every_trial_is_told_with_its_numbers_and_reasons(plain: Source, built: Build, tmp_path: Path) -> None:
    winner = trial("float", measured("throughput", 90, low=80, high=99), artifact=built(tiny.PLAIN))
    said = describe(result(plain, winner, FAILED, winner=winner), replace(CALL, published=tmp_path / "tiny/1"))
    assert (said["winner"], said["nearest"], said["published"]) == ("float", None, str(tmp_path / "tiny/1"))
    assert said["source"] == {
        "name": "tiny",
        "digest": plain.digest,
        "format": "frozen",
        "meaning": "person",
        "size": [65, 65],
    }
    first, second = said["trials"]
    assert first["measurements"]["throughput"] == {"value": 90, "low": 80, "high": 99, "unit": "u", "samples": 5}
    assert (first["accepted"], first["digest"]) == (True, winner.candidate.digest)
    assert (second["accepted"], second["broken"]) == (False, ["MachineError: its process died"])
    assert set(said["baselines"]["TensorFlow, oneDNN on"]) == {"throughput", "speedup"}
    assert said["host"]["features"] == ["avx2"]
    assert said["host"]["threads_from"]
    assert "openvino" in said["versions"]
    assert (said["objective"], said["effort"], said["started"]) == ("throughput", "quick", "2026-01-02T03:04:05Z")


def test_what_a_candidate_was_made_from_is_told(plain: Source, built: Build) -> None:
    winner = trial("float", measured("throughput", 90), artifact=built(tiny.PLAIN))
    child = replace(winner, candidate=replace(winner.candidate, parent="e" * 64))
    assert describe(result(plain, child, winner=child))["trials"][0]["notes"][-1] == f"made from {'e' * 64}"


def test_a_run_without_a_winner_names_the_nearest(plain: Source) -> None:
    near = trial("near", measured("iou_drop", 0.7), broken=("iou_drop may reach 0.7",))
    said = describe(result(plain, FAILED, near))
    assert (said["winner"], said["nearest"], said["published"]) == (None, "near", None)
    assert describe(result(plain, FAILED))["nearest"] is None


def test_the_report_reads_what_was_written(plain: Source, built: Build, tmp_path: Path) -> None:
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


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    facts.write({"a": 1}, path)
    for impossible in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            facts.write({"a": impossible}, path)
    assert json.loads(path.read_text("utf-8")) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["facts.json"]


def test_a_place_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        facts.write({"a": 1}, tmp_path / "file" / "facts.json")
