"""Candidates on disk: complete or absent, and built once."""

import fcntl
import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.experiment.store import ABANDONED_S, CandidateStore
from tests.workbench import crimes, tiny
from tests.workbench.conftest import Build
from tests.workbench.experiment.building import CountedBuild, build_and_die
from tests.workbench.facts import recipe, workspace

KEY = "d" * 64


class Interruption(BaseException):
    """Raised as if the process were interrupted."""


@pytest.fixture
def build(built: Build) -> CountedBuild:
    return CountedBuild(built(tiny.PLAIN).path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "candidates"


def list_visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_stored_candidate_is_read_back(folder: Path, build: CountedBuild) -> None:
    put = CandidateStore(folder).put(recipe(), KEY, build)
    got = CandidateStore(folder).get(recipe(), KEY)
    assert got == put
    assert got.notes == ("cut: done",)
    assert got.artifact.path.parent == folder / KEY


def test_an_unknown_key_has_no_candidate(folder: Path) -> None:
    assert CandidateStore(folder).get(recipe(), KEY) is None


@pytest.mark.parametrize("error", [Interruption, OSError, RuntimeError])
def test_an_interrupted_build_leaves_no_files(folder: Path, build: CountedBuild, error: type[BaseException]) -> None:
    def half(target: Path) -> tuple[Artifact, tuple[str, ...]]:
        build(target)
        raise error("half-way")

    with pytest.raises(MachineError if error is OSError else error, match="half-way"):
        CandidateStore(folder).put(recipe(), KEY, half)
    assert list(folder.iterdir()) == []
    assert CandidateStore(folder).get(recipe(), KEY) is None


def test_a_killed_build_leaves_no_visible_candidate(folder: Path, build: CountedBuild) -> None:
    child = multiprocessing.get_context("spawn").Process(target=build_and_die, args=(build.model, folder, KEY))
    child.start()
    child.join()
    assert child.exitcode == -9
    assert list_visible(folder) == []
    assert CandidateStore(folder).put(recipe(), KEY, build).digest == KEY
    assert list_visible(folder) == [KEY]


def test_abandoned_files_of_killed_builds_are_removed_later(folder: Path, build: CountedBuild) -> None:
    long_ago = time.time() - 2 * ABANDONED_S
    for name in (".killed", ".building", ".fresh"):
        (folder / name).mkdir(parents=True)
        (folder / name / "graph.bin").write_bytes(b"weights")
        if name != ".fresh":
            os.utime(folder / name, (long_ago, long_ago))
    handle = os.open(folder / ".building", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    CandidateStore(folder).put(recipe(), KEY, build)
    assert sorted(path.name for path in folder.iterdir()) == [".building", ".fresh", KEY]
    os.close(handle)
    CandidateStore(folder).put(recipe(), "e" * 64, build)
    assert sorted(path.name for path in folder.iterdir()) == [".fresh", KEY, "e" * 64]


def test_a_build_in_progress_is_not_removed(folder: Path, build: CountedBuild) -> None:
    def build_beside_others(target: Path) -> tuple[Artifact, tuple[str, ...]]:
        long_ago = time.time() - 2 * ABANDONED_S
        os.utime(target.parent, (long_ago, long_ago))
        CandidateStore(folder).put(recipe(), "e" * 64, build)
        return build(target)

    assert CandidateStore(folder).put(recipe(), KEY, build_beside_others).digest == KEY


def overwrite(name: str) -> Callable[[Path], None]:
    return lambda place: (place / name).write_bytes(b"spoilt")


def flip_a_weight(place: Path) -> None:
    weights = bytearray((place / "graph.bin").read_bytes())
    weights[7] ^= 1
    (place / "graph.bin").write_bytes(weights)


def rewrite_facts(content: object) -> Callable[[Path], None]:
    return lambda place: (place / "candidate.json").write_text(json.dumps(content))


SPOILS = {
    "a graph that is none": overwrite("graph.xml"),
    "a bit of the weights": flip_a_weight,
    "weights cut short": overwrite("graph.bin"),
    "weights gone": lambda place: (place / "graph.bin").unlink(),
    "a graph gone": lambda place: (place / "graph.xml").unlink(),
    "facts gone": lambda place: (place / "candidate.json").unlink(),
    "facts that are none": overwrite("candidate.json"),
    "facts that lack something": rewrite_facts({"notes": []}),
    "a list for facts": rewrite_facts([1, 2]),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_candidate_is_rebuilt(folder: Path, build: CountedBuild, spoil: str) -> None:
    store = CandidateStore(folder)
    good = store.put(recipe(), KEY, build)
    SPOILS[spoil](folder / KEY)
    assert store.get(recipe(), KEY) is None
    assert store.put(recipe(), KEY, build).artifact == good.artifact
    assert store.get(recipe(), KEY) == good
    assert list_visible(folder) == [KEY]


def test_a_candidate_stored_first_by_another_process_is_kept(folder: Path, build: CountedBuild) -> None:
    def overtaken(target: Path) -> tuple[Artifact, tuple[str, ...]]:
        CandidateStore(folder).put(recipe(), KEY, build)
        (folder / KEY / "theirs").touch()
        return build(target)

    CandidateStore(folder).put(recipe(), KEY, overtaken)
    assert (folder / KEY / "theirs").exists()
    assert [path.name for path in folder.iterdir()] == [KEY]


def test_a_workspace_keeps_candidates_and_results_in_one_folder(tmp_path: Path) -> None:
    here = workspace(tmp_path / "store")
    here.results.put("kind", {"a": 1}, 2)
    assert here.results.locate("kind", {"a": 1}).is_relative_to(tmp_path / "store/results")
    assert here.candidates.folder == tmp_path / "store"
    assert workspace(tmp_path / "store").results.get("kind", {"a": 1}) == 2


def test_isolate_runs_a_function_in_a_child_process_and_returns_its_result(tmp_path: Path) -> None:
    here = workspace(tmp_path, time_s=60.0)
    assert here.isolate(crimes.doubled, 21) == 42
    assert here.isolate(crimes.pid) != os.getpid()
    with pytest.raises(InputError, match=r"data/x\.png: isn't a picture"):
        here.isolate(crimes.refuse)


@pytest.mark.parametrize(("limit_s", "time_s"), [(60.0, 1.0), (1.0, 60.0)])
def test_isolate_times_out_at_the_shorter_of_two_limits(tmp_path: Path, limit_s: float, time_s: float) -> None:
    with pytest.raises(MachineError, match="hang: timed out after 1 s"):
        workspace(tmp_path, time_s=limit_s).isolate(crimes.hang, time_s=time_s)
