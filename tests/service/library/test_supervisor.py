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


def test_a_unit_that_succeeds_leaves_no_record_of_attempts(tmp_path: Path) -> None:
    result = UnitSupervisor(make_library(tmp_path), ScriptedMaker()).run(UNIT)
    assert (result.state, result.attempts, result.masks) == ("made", 1, 10)
    assert list_attempts(tmp_path) == []


def test_a_unit_that_succeeds_after_retries_leaves_no_record_of_attempts(tmp_path: Path) -> None:
    maker = ScriptedMaker("crashed", "hung", None)
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, result.attempts) == ("made", 3)
    assert list_attempts(tmp_path) == []


def test_a_video_that_always_fails_is_given_up_with_its_last_reason(tmp_path: Path) -> None:
    maker = ScriptedMaker("crashed", "crashed again", "hung")
    result = UnitSupervisor(make_library(tmp_path, max_attempts=2), maker).run(UNIT)
    assert (result.state, result.attempts, result.reason) == ("given up", 2, "crashed again")
    assert len(maker.seen) == 2
    assert result.exit_code == 1


def test_attempts_of_earlier_runs_count(tmp_path: Path) -> None:
    library, maker = make_library(tmp_path), ScriptedMaker("crashed", "crashed", "crashed")
    UnitSupervisor(library, maker).run(UNIT)
    counted = AttemptLog(library, open_storage(library.target)).count_all()
    assert counted == {DIGEST: 3}
    again = UnitSupervisor(library, ScriptedMaker()).run(UNIT._replace(attempts=3))
    assert (again.state, again.reason) == ("given up", "crashed")
    more = UnitSupervisor(make_library(tmp_path, max_attempts=4), ScriptedMaker()).run(UNIT._replace(attempts=3))
    assert (more.state, more.attempts) == ("made", 4)


def test_an_attempt_whose_worker_was_lost_counts(tmp_path: Path) -> None:
    library = make_library(tmp_path, max_attempts=1)
    log = AttemptLog(library, open_storage(library.target))
    assert log.begin(UNIT) == 1  # and then its machine is lost
    result = UnitSupervisor(library, ScriptedMaker()).run(UNIT)
    assert (result.state, result.reason) == ("given up", "its worker was lost")


def test_an_attempt_with_an_incomplete_record_counts(tmp_path: Path) -> None:
    library = make_library(tmp_path, max_attempts=1)
    target = open_storage(library.target)
    target.create(f".danmatte/attempts/{DIGEST}.1.json", b'{"rea')
    assert AttemptLog(library, target).read_reason(UNIT, 1) == "its worker was lost"


def test_a_model_that_cannot_be_opened_does_not_count_as_an_attempt(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model"):
        UnitSupervisor(make_library(tmp_path), ScriptedMaker(ModelError("no model"))).run(UNIT)
    assert list_attempts(tmp_path) == []


def test_a_storage_failure_is_retried_and_does_not_count_as_an_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte.library.supervisor._PAUSE_S", 0.001)
    maker = ScriptedMaker(StorageError("no room"), "crashed", StorageError("no room"))
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, len(maker.seen)) == ("made", 4)
    assert list_attempts(tmp_path) == []


def test_a_unit_whose_storage_keeps_failing_is_postponed_to_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte.library.supervisor._PAUSE_S", 0.001)
    maker = ScriptedMaker(*[StorageError("no room")] * 3)
    result = UnitSupervisor(make_library(tmp_path), maker).run(UNIT)
    assert (result.state, result.reason, result.exit_code) == ("postponed", "no room", 4)
    assert list_attempts(tmp_path) == []
    assert UnitSupervisor(make_library(tmp_path), ScriptedMaker()).run(UNIT).state == "made"


def test_a_stopped_supervisor_does_not_retry_after_a_storage_failure(tmp_path: Path) -> None:
    class FailingMaker(ScriptedMaker):
        def make(self, unit: Unit) -> object:  # type: ignore[override]
            threading.Timer(0.01, supervisor.stop).start()
            return super().make(unit)

    supervisor = UnitSupervisor(make_library(tmp_path), FailingMaker(*[StorageError("no room")] * 2))
    with pytest.raises(StorageError):
        supervisor.run(UNIT)
    assert list_attempts(tmp_path) == []


def test_an_attempt_ended_by_a_stop_does_not_count(tmp_path: Path) -> None:
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
