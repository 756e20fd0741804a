"""Separate processes: how they end, and how that is reported."""

import errno
import tempfile
import threading
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path

import av.error
import psutil
import pytest

from danmatte.errors import LostWorkerError, ModelError, StorageError, TrackError
from danmatte.library.executor import make_supervisors
from danmatte.library.inventory import Inventory
from danmatte.library.isolation import IsolatedMaker, Setup, is_storage_failure
from danmatte.library.library import Library, Shard, Unit
from danmatte.models.standalone import find_version
from tests.service.library.poison import poison, slow
from tests.service.library.units import fill, make_library
from tests.service.tracks.videos import walking, write


@pytest.fixture
def library(tmp_path: Path, models: Path) -> Library:
    """Return a library with a valid video and some that fail."""
    fill(tmp_path, "crash.mp4", "hang.mp4", "nonsense.mp4")
    write(tmp_path / "videos/walk.mp4", walking(5))
    return replace(make_library(tmp_path, stall_timeout_s=60.0), models=models)


def find_unit(library: Library, name: str) -> Unit:
    units = [unit for unit, _ in Inventory(library, find_version(library.models), Shard())]
    return next(unit for unit in units if unit.video == name)


def list_children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True) if child.status() != "zombie"}


def test_one_process_makes_many_units_and_is_replaced_after_a_crash(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    maker = IsolatedMaker(Setup(library, version=2))
    try:
        with pytest.raises(LostWorkerError, match="expected a video"):
            maker.make(find_unit(library, "nonsense.mp4"))
        survived = list_children()
        assert maker.make(find_unit(library, "walk.mp4")).masks == 5
        assert list_children() == survived  # a failed unit is no crash: the same process continues
        with pytest.raises(LostWorkerError, match="ended by SIGSEGV"):
            maker.make(find_unit(library, "crash.mp4"))
        assert maker.make(find_unit(library, "walk.mp4")).state == "kept"
    finally:
        maker.close()


def test_a_process_whose_pipe_is_closed_exits_without_output(
    library: Library, capfd: pytest.CaptureFixture[str]
) -> None:
    maker = IsolatedMaker(Setup(library, version=2))
    maker.make(find_unit(library, "walk.mp4"))
    process = maker._process
    maker._connection = None  # closes this end of the pipe
    assert process is not None
    process.join(60)
    assert process.exitcode == 0
    assert capfd.readouterr().err == ""
    maker.close()


def test_a_unit_that_exceeds_its_time_limit_is_stopped(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    unit = find_unit(library, "hang.mp4")
    maker = IsolatedMaker(Setup(replace(library, item_timeout_s=0.5), version=2))
    with pytest.raises(LostWorkerError, match=r"more than 0.5 s"):
        maker.make(unit)
    maker.close()


def test_a_slow_digest_does_not_count_as_a_stall(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(tmp_path / "slow", monkeypatch, seconds=4.0)
    maker = IsolatedMaker(Setup(replace(library, stall_timeout_s=2.5), version=2))
    try:
        assert maker.make(find_unit(library, "walk.mp4")).masks == 5
    finally:
        maker.close()


def test_a_crashed_process_leaves_no_temporary_files(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    maker = IsolatedMaker(Setup(replace(library, stall_timeout_s=5.0), version=2))
    with pytest.raises(LostWorkerError, match="ended by SIGSEGV"):
        maker.make(find_unit(library, "crash.mp4"))
    assert list((tmp_path / "tmp").iterdir()) == []
    maker.make(find_unit(library, "walk.mp4"))
    maker.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_missing_temporary_folder_is_a_storage_error(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(StorageError, match="TMPDIR"):
        IsolatedMaker(Setup(library, version=2)).make(find_unit(library, "walk.mp4"))


def test_a_process_that_cannot_be_started_is_a_storage_error(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    maker = IsolatedMaker(Setup(library, version=2))

    def refuse(process: BaseProcess) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    with monkeypatch.context() as context:
        context.setattr(maker._context.Process, "start", refuse)
        with pytest.raises(StorageError, match="expected resources for a process"):
            maker.make(find_unit(library, "walk.mp4"))
    assert list((tmp_path / "tmp").iterdir()) == []
    try:
        assert maker.make(find_unit(library, "walk.mp4")).masks == 5  # resources are available again
    finally:
        maker.close()


def test_a_target_that_cannot_be_written_is_a_storage_error(library: Library, tmp_path: Path) -> None:
    unit, maker = find_unit(library, "walk.mp4"), IsolatedMaker(Setup(library, version=2))
    (tmp_path / "tracks").write_bytes(b"in the way of a folder")
    try:
        with pytest.raises(StorageError, match="expected a folder to write to, found a file"):
            maker.make(unit)
    finally:
        maker.close()


def wrap(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StorageError("503"), True),
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (wrap(TrackError("expected room"), OSError(errno.ENOSPC, "No space left on device")), True),
        (wrap(TrackError("expected a video"), av.error.PermissionError(errno.EACCES, "Permission denied")), True),
        (TrackError("expected a video"), False),
        (wrap(TrackError("expected a video"), av.error.InvalidDataError(1, "Invalid data")), False),
        (OSError(errno.EIO, "Input/output error"), False),  # FFmpeg's error for broken files
    ],
)
def test_storage_failures_are_distinguished_from_faulty_videos(error: Exception, expected: bool) -> None:
    assert is_storage_failure(error) is expected


def test_closing_the_maker_from_a_second_thread_ends_a_hung_process(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(tmp_path / "poison", monkeypatch)
    before, maker = list_children(), IsolatedMaker(Setup(library, version=2))
    unit, errors = find_unit(library, "hang.mp4"), list[str]()

    def make() -> None:
        try:
            maker.make(unit)
        except LostWorkerError as error:
            errors.append(str(error))

    thread = threading.Thread(target=make)
    thread.start()
    while not list_children() - before:
        thread.join(0.01)
    maker.close()
    thread.join(60)
    assert errors
    with pytest.raises(LostWorkerError, match="its worker was stopped"):
        maker.make(unit)


def test_a_process_started_while_the_maker_closes_is_ended(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    maker = IsolatedMaker(Setup(library, version=2))
    closer = threading.Thread(target=maker.close)
    start = maker._context.Process.start

    def start_during_close(process: BaseProcess) -> None:
        start(process)
        closer.start()
        closer.join(0.2)  # blocks until the process is registered

    monkeypatch.setattr(maker._context.Process, "start", start_during_close)
    before = list_children()
    with pytest.raises(LostWorkerError, match="process"):
        maker.make(find_unit(library, "walk.mp4"))
    closer.join(60)
    assert not list_children() - before - {resource_tracker._resource_tracker._pid}


def test_a_process_killed_between_two_units_is_reported_and_replaced(library: Library) -> None:
    maker, unit = IsolatedMaker(Setup(library, version=2)), find_unit(library, "walk.mp4")
    try:
        maker.make(unit)
        assert maker._process is not None
        maker._process.kill()
        maker._process.join()
        with pytest.raises(LostWorkerError, match="ended by SIGKILL"):
            maker.make(unit)
        assert maker.make(unit).state == "kept"  # the first process made it
    finally:
        maker.close()


def test_a_model_that_cannot_be_opened_is_reported(library: Library, tmp_path: Path) -> None:
    unit = find_unit(library, "walk.mp4")
    maker = IsolatedMaker(Setup(replace(library, models=tmp_path / "nowhere"), version=2))
    with pytest.raises(ModelError, match="expected a model's name"):
        maker.make(unit)
    maker.close()


def test_the_default_number_of_workers_follows_the_number_of_cores(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danmatte.library import executor

    monkeypatch.setattr(executor, "count_cores", lambda: 8)
    monkeypatch.setattr(executor, "split_cpus", lambda count: [frozenset({at}) for at in range(count)])
    assert len(make_supervisors(library, 2)) == 4
    assert len(make_supervisors(library, 2, workers=3)) == 3
    monkeypatch.setattr(executor, "count_cores", lambda: 1)
    assert len(make_supervisors(library, 2)) == 1
