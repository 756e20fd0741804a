"""The findings as JSON: all of it, and nothing half-written."""

import json
from pathlib import Path

import pytest

from tests.workbench import tiny
from tests.workbench.conftest import Cook
from tests.workbench.facts import findings, measured, trial
from workbench.report import facts
from workbench.source import Source

FAILED = trial("int8", broken=("MachineError: its process died",))


def test_every_trial_is_told_with_its_numbers_and_reasons(plain: Source, cooked: Cook, tmp_path: Path) -> None:
    winner = trial("float", measured("throughput", 90, low=80, high=99), artifact=cooked(tiny.PLAIN))
    told = facts.facts(findings(plain, winner, FAILED), winner, tmp_path / "tiny/1", ["workbench", "optimize"])
    told = json.loads(json.dumps(told))
    assert (told["winner"], told["published"]) == ("float", str(tmp_path / "tiny/1"))
    assert told["source"]["digest"] == plain.digest
    first, second = told["trials"]
    assert first["measurements"]["throughput"] == {"value": 90, "low": 80, "high": 99, "unit": "u", "samples": 5}
    assert (first["accepted"], first["digest"]) == (True, winner.candidate.digest)
    assert (second["accepted"], second["broken"]) == (False, ["MachineError: its process died"])
    assert set(told["baselines"]["TensorFlow, oneDNN on"]) == {"throughput", "speedup"}
    assert told["host"]["features"] == ["avx2"]


def test_a_run_without_a_winner_is_told_too(plain: Source) -> None:
    told = facts.facts(findings(plain, FAILED), None, None, [])
    assert (told["winner"], told["published"]) == (None, None)


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "facts.json"
    facts.write({"a": 1}, path)
    for impossible in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="JSON compliant"):
            facts.write({"a": impossible}, path)
    assert json.loads(path.read_text("utf-8")) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["facts.json"]
