"""A run over a library, with workers that finish immediately."""

import io
from pathlib import Path

import pytest

from danmatte.contract.manifest import Manifest
from danmatte.errors import ModelError
from danmatte.library.executor import LocalExecutor
from danmatte.library.inventory import Inventory, Totals
from danmatte.library.library import Library, Shard
from danmatte.library.place import open_storage
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult
from danmatte.library.run import run_units
from danmatte.library.supervisor import UnitSupervisor
from tests.service.library.units import ImmediateExecutor, ScriptedMaker, fill, make_library

NAMES = ("a.mp4", "b.mkv", "deep/c.webm", "notes.txt")


@pytest.fixture
def library(tmp_path: Path) -> Library:
    fill(tmp_path, *NAMES)
    return make_library(tmp_path)


def run(inventory: Inventory, executor: ImmediateExecutor | LocalExecutor) -> list[UnitResult]:
    return list(run_units(inventory, executor, LibraryProgress(Totals(), io.StringIO())))


def test_every_video_and_no_other_file_gets_a_track(library: Library, toy_manifest: Manifest) -> None:
    results = run(Inventory(library, toy_manifest, Shard()), ImmediateExecutor())
    assert [(result.state, result.video) for result in results] == [
        ("made", "a.mp4"),
        ("made", "b.mkv"),
        ("made", "deep/c.webm"),
    ]


def test_units_whose_track_is_in_the_target_are_kept(library: Library, toy_manifest: Manifest) -> None:
    (first, *_) = [unit for unit, _ in Inventory(library, toy_manifest, Shard())]
    open_storage(library.target).create(first.name_track(".mattes"), b"a track")
    executor = ImmediateExecutor()
    results = run(Inventory(library, toy_manifest, Shard()), executor)
    assert [result.state for result in results] == ["kept", "made", "made"]
    assert first.video not in [unit.video for unit in executor.units]


def test_a_track_of_a_different_format_or_video_does_not_count_as_finished(
    library: Library, toy_manifest: Manifest, tmp_path: Path
) -> None:
    (first, *_) = [unit for unit, _ in Inventory(library, toy_manifest, Shard())]
    open_storage(library.target).create(first.name_track(".webmask"), b"a track")
    assert Inventory(library, toy_manifest, Shard()).count().kept == 0
    (tmp_path / "videos/a.mp4").write_bytes(b"another film")
    open_storage(library.target).create(first.name_track(".mattes"), b"a track")
    assert Inventory(library, toy_manifest, Shard()).count().kept == 0


def test_units_with_failed_attempts_come_last_and_keep_their_count(library: Library, toy_manifest: Manifest) -> None:
    (first, *_) = [unit for unit, _ in Inventory(library, toy_manifest, Shard())]
    target = open_storage(library.target)
    for number in (1, 2):
        target.create(f".danmatte/attempts/{first.key}.{number}.json", b"{}")
    listed = [(unit.video, unit.attempts) for unit, _ in Inventory(library, toy_manifest, Shard())]
    assert listed == [("b.mkv", 0), ("deep/c.webm", 0), ("a.mp4", 2)]


def test_shards_divide_the_work(library: Library, toy_manifest: Manifest) -> None:
    parts = [{unit.video for unit, _ in Inventory(library, toy_manifest, Shard(at, 2))} for at in range(2)]
    assert parts[0] | parts[1] == set(NAMES[:3])
    assert not parts[0] & parts[1]


def test_totals_count_only_the_videos_of_the_shard_and_their_bytes(library: Library, toy_manifest: Manifest) -> None:
    assert Inventory(library, toy_manifest, Shard()).count() == Totals(units=3, size_bytes=5 + 5 + 11)
    for shard in (Shard(0, 2), Shard(1, 2)):
        units = [unit for unit, _ in Inventory(library, toy_manifest, shard)]
        expected = Totals(units=len(units), size_bytes=sum(unit.size_bytes for unit in units))
        assert Inventory(library, toy_manifest, shard).count() == expected


def test_units_in_progress_never_exceed_the_capacity_of_the_executor(tmp_path: Path, toy_manifest: Manifest) -> None:
    fill(tmp_path, *(f"{at}.mp4" for at in range(20)))
    executor = ImmediateExecutor(capacity=3)
    results = run(Inventory(make_library(tmp_path), toy_manifest, Shard()), executor)
    assert len(results) == 20
    assert executor.most == 3


def test_workers_share_the_units_and_continue_after_a_bad_video(tmp_path: Path, toy_manifest: Manifest) -> None:
    fill(tmp_path, *(f"{at}.mp4" for at in range(6)))
    library = make_library(tmp_path, max_attempts=1)
    makers = [ScriptedMaker("crashed"), ScriptedMaker()]
    executor = LocalExecutor([UnitSupervisor(library, maker) for maker in makers])
    results = run(Inventory(library, toy_manifest, Shard()), executor)
    executor.close()
    assert len({result.video for result in results}) == 6
    assert sum(len(maker.seen) for maker in makers) == 6
    assert [result.reason for result in results if result.state == "given up"] in ([], ["crashed"])
    assert all(maker.closed for maker in makers)


def test_a_model_that_cannot_be_opened_ends_the_run(tmp_path: Path, toy_manifest: Manifest) -> None:
    fill(tmp_path, "a.mp4")
    library = make_library(tmp_path)
    executor = LocalExecutor([UnitSupervisor(library, ScriptedMaker(ModelError("no model")))])
    with pytest.raises(ModelError, match="no model"):
        run(Inventory(library, toy_manifest, Shard()), executor)
    executor.close()
