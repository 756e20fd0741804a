"""Attempts at a unit: their number, the reported reasons, and counting them across runs."""

import threading
from pathlib import Path

import pytest

from danmatte.errors import LostWorkerError, ModelError, StorageError
from danmatte.library.attempts import AttemptLog
from danmatte.library.library import Unit
from danmatte.library.place import open_storage
from danmatte.library.supervisor import UnitSupervisor
from tests.service.library.units import DIGEST, ScriptedMaker, make_library

UNIT = Unit("a.mp4", 100, "etag", DIGEST)


def list_attempts(tmp_path: Path) -> list[str]:
    return [path.name for path in sorted((tmp_path / "tracks").rglob("*.json"))]


def test_what_works_leaves_no_attempts(tmp_path: Path) -> None:
    result = UnitSupervisor(make_library(tmp_path), ScriptedMaker()).run(UNIT)
    assert (result.state, result.attempts, result.masks) == ("made", 1, 10)
    assert list_attempts(tmp_path) == []


def test_what_works_in_the_end_leaves_no_attempts_either(tmp_path: Path) -> None:
    maker = ScriptedMaker("crashed", "hung", None)
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, result.attempts) == ("made", 3)
    assert list_attempts(tmp_path) == []


def test_a_poisoned_video_is_given_up_with_its_last_reason(tmp_path: Path) -> None:
    maker = ScriptedMaker("crashed", "crashed again", "hung")
    result = UnitSupervisor(make_library(tmp_path, max_attempts=2), maker).run(UNIT)
    assert (result.state, result.attempts, result.reason) == ("given up", 2, "crashed again")
    assert len(maker.seen) == 2
    assert result.exit_code == 1


def test_attempts_of_former_runs_count(tmp_path: Path) -> None:
    library, maker = make_library(tmp_path), ScriptedMaker("crashed", "crashed", "crashed")
    UnitSupervisor(library, maker).run(UNIT)
    counted = AttemptLog(library, open_storage(library.target)).count_all()
    assert counted == {DIGEST: 3}
    again = UnitSupervisor(library, ScriptedMaker()).run(UNIT._replace(attempts=3))
    assert (again.state, again.reason) == ("given up", "crashed")
    more = UnitSupervisor(make_library(tmp_path, max_attempts=4), ScriptedMaker()).run(UNIT._replace(attempts=3))
    assert (more.state, more.attempts) == ("made", 4)


def test_a_worker_that_disappears_has_used_an_attempt(tmp_path: Path) -> None:
    library = make_library(tmp_path, max_attempts=1)
    log = AttemptLog(library, open_storage(library.target))
    assert log.begin(UNIT) == 1  # and then its machine is lost
    result = UnitSupervisor(library, ScriptedMaker()).run(UNIT)
    assert (result.state, result.reason) == ("given up", "its worker was lost")


def test_a_torn_note_of_an_attempt_counts_all_the_same(tmp_path: Path) -> None:
    library = make_library(tmp_path, max_attempts=1)
    target = open_storage(library.target)
    target.create(f".danmatte/attempts/{DIGEST}.1.json", b'{"rea')
    assert AttemptLog(library, target).read_reason(UNIT, 1) == "its worker was lost"


def test_a_model_that_cannot_be_opened_is_no_fault_of_the_video(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        UnitSupervisor(make_library(tmp_path), ScriptedMaker(ModelError("no model"))).run(UNIT)
    assert list_attempts(tmp_path) == []


def test_a_place_that_fails_is_tried_again_and_no_attempt_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte.library.supervisor._PAUSE_S", 0.001)
    maker = ScriptedMaker(StorageError("no room"), "crashed", StorageError("no room"))
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, len(maker.seen)) == ("made", 4)
    assert list_attempts(tmp_path) == []


def test_what_a_place_keeps_from_being_made_is_left_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte.library.supervisor._PAUSE_S", 0.001)
    maker = ScriptedMaker(*[StorageError("no room")] * 3)
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, result.reason, result.exit_code) == ("postponed", "no room", 4)
    assert list_attempts(tmp_path) == []
    assert UnitSupervisor(make_library(tmp_path), ScriptedMaker()).run(UNIT).state == "made"


def test_nobody_waits_for_a_place_once_the_run_is_to_end(tmp_path: Path) -> None:
    class FailingMaker(ScriptedMaker):
        def make(self, unit: Unit) -> object:  # type: ignore[override]
            threading.Timer(0.01, supervisor.stop).start()
            return super().make(unit)

    supervisor = UnitSupervisor(make_library(tmp_path), FailingMaker(*[StorageError("no room")] * 2))
    with pytest.raises(StorageError):
        supervisor.run(UNIT)
    assert list_attempts(tmp_path) == []


def test_an_attempt_that_is_ended_on_purpose_does_not_count(tmp_path: Path) -> None:
    class StoppedMaker(ScriptedMaker):
        def make(self, unit: Unit) -> object:  # type: ignore[override]
            supervisor.stop()
            raise LostWorkerError("its process was stopped")

    maker = StoppedMaker()
    supervisor = UnitSupervisor(make_library(tmp_path), maker)
    with pytest.raises(LostWorkerError):
        supervisor.run(UNIT)
    assert maker.closed
    assert list_attempts(tmp_path) == []
