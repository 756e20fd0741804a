"""Units on a cluster: calls of Ray, and a real cluster of three nodes."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from danmatte.contract.manifest import Manifest
from danmatte.errors import InvalidParameterError, MissingExtraError, ModelError
from danmatte.library import cluster
from danmatte.library.cluster import RayExecutor
from danmatte.library.inventory import Inventory, Totals
from danmatte.library.isolation import Setup
from danmatte.library.library import Library, Shard, Unit
from danmatte.library.progress import LibraryProgress
from danmatte.library.result import UnitResult
from danmatte.library.run import run_units
from danmatte.library.supervisor import UnitSupervisor
from tests.service.library.units import ScriptedMaker, fill, make_library
from tests.service.tracks.videos import walking, write


class LostNodeError(Exception):
    """The fake's error for a lost node."""


class RaisedError(LostNodeError):
    """The fake's error for a task that raised."""

    def as_instanceof_cause(self) -> Exception:
        return ModelError("no model")


class FakeRay:
    """A fake of Ray that runs every task immediately in this process; `lost` videos raise instead."""

    exceptions = SimpleNamespace(RayError=LostNodeError, RayTaskError=RaisedError)

    def __init__(self, cores: tuple[float, ...] = (4, 2), lost: dict[str, Exception] | None = None) -> None:
        self._cores, self._lost = cores, lost or {}
        self.options: dict[str, Any] = {}
        self.most, self.cancelled, self.down = 0, list[Any](), False

    def init(self, address: str, **_: object) -> None:
        if address == "unreachable:1":
            raise ConnectionError("connection refused")

    def nodes(self) -> list[dict[str, Any]]:
        dead = {"Alive": False, "Resources": {"CPU": 64.0}}
        return [dead, {"Alive": True, "Resources": {}}] + [
            {"Alive": True, "Resources": {"CPU": float(count)}} for count in self._cores
        ]

    def put(self, value: object) -> object:
        return value

    def remote(self, **options: object) -> Callable[[Any], Any]:
        self.options = options

        def run(make: Callable[..., UnitResult], setup: Setup, unit: Unit) -> object:
            lost = self._lost.get(unit.video)
            outcome = lost or make(setup, unit)
            return _Reference(outcome)

        return lambda make: SimpleNamespace(remote=lambda setup, unit: run(make, setup, unit))

    def wait(self, references: list[Any], **_: object) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(references))
        return references[:1], references[1:]

    def get(self, reference: "_Reference") -> object:
        if isinstance(reference.outcome, Exception):
            raise reference.outcome
        return reference.outcome

    def cancel(self, reference: object, **_: object) -> None:
        self.cancelled.append(reference)

    def shutdown(self) -> None:
        self.down = True


class _Reference:
    """A reference to a task's outcome; references compare by identity."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """Return a library of twenty videos, with workers that finish immediately."""
    fill(tmp_path, *(f"{at:02}.mp4" for at in range(20)))

    def supervise(library: Library, _: object) -> UnitSupervisor:
        return UnitSupervisor(library, ScriptedMaker())

    monkeypatch.setattr(cluster, "_supervisors", {})
    monkeypatch.setattr(cluster, "IsolatedMaker", lambda setup: setup)
    monkeypatch.setattr(cluster, "UnitSupervisor", supervise)
    return make_library(tmp_path, max_attempts=2)


def run(library: Library, manifest: Manifest, executor: RayExecutor) -> list[UnitResult]:
    progress = LibraryProgress(Totals(), io.StringIO())
    return list(run_units(Inventory(library, manifest, Shard()), executor, progress))


def test_each_unit_is_one_task_and_tasks_in_progress_are_limited(library: Library, toy_manifest: Manifest) -> None:
    ray = FakeRay()
    executor = RayExecutor(library, 1, "head:6379", ray)
    results = run(library, toy_manifest, executor)
    assert sorted(result.video for result in results) == [f"{at:02}.mp4" for at in range(20)]
    assert ray.options == {"num_cpus": 2, "max_retries": 2}
    assert ray.most == executor.capacity == 6  # twice the three units that four and two cores make at a time
    executor.close()
    assert ray.down
    assert ray.cancelled == []


def test_on_nodes_with_one_core_each_task_requests_one_core(library: Library) -> None:
    ray = FakeRay(cores=(1, 1, 1))
    assert RayExecutor(library, 1, "head:6379", ray).capacity == 6
    assert ray.options["num_cpus"] == 1


def test_a_unit_lost_with_its_node_is_reported_and_the_others_continue(
    library: Library, toy_manifest: Manifest
) -> None:
    ray = FakeRay(lost={"07.mp4": LostNodeError("the node died")})
    results = run(library, toy_manifest, RayExecutor(library, 1, "head:6379", ray))
    assert len(results) == 20
    assert [(result.video, result.reason) for result in results if result.exit_code] == [
        ("07.mp4", "LostNodeError: the node died")
    ]


def test_an_error_in_a_task_is_raised_to_the_caller(library: Library, toy_manifest: Manifest) -> None:
    executor = RayExecutor(library, 1, "head:6379", FakeRay(lost={"00.mp4": RaisedError()}))
    with pytest.raises(ModelError, match="no model"):
        run(library, toy_manifest, executor)


def test_closing_the_executor_cancels_tasks_in_progress(library: Library) -> None:
    ray = FakeRay()
    executor = RayExecutor(library, 1, "head:6379", ray)
    executor.submit(Unit("a.mp4", 1, "", "0" * 32))
    executor.close()
    assert len(ray.cancelled) == 1


def test_an_unreachable_cluster_is_reported(library: Library) -> None:
    with pytest.raises(InvalidParameterError, match="ray: unreachable:1: expected a cluster"):
        RayExecutor(library, 1, "unreachable:1", FakeRay())


def test_a_missing_ray_package_is_reported_with_its_extra(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"danmatte\[ray\]"):
        RayExecutor(library, 1, "head:6379")


@pytest.mark.slow
def test_a_real_cluster_makes_every_track_although_a_node_is_killed(models: Path, tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    (tmp_path / "videos").mkdir()
    for at in range(12):
        write(tmp_path / f"videos/{at}.mp4", walking(100 + at))
    real = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = real.add_node(num_cpus=1)
        real.add_node(num_cpus=1)
        command = [sys.executable, "-m", "danmatte", "library", "videos", "tracks", "--json", "-"]
        words = ["--ray", real.address, "--models", str(models)]
        with subprocess.Popen(
            [*command, *words], cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=os.environ
        ) as process:
            assert process.stdout is not None
            results = [json.loads(process.stdout.readline())]
            for found in lost.all_processes.values():
                for each in found:
                    os.kill(each.process.pid, signal.SIGKILL)
            results += [json.loads(line) for line in process.stdout]
        assert process.returncode == 0
        assert len({result["video"] for result in results}) == 12
        assert len(list((tmp_path / "tracks").glob("*.mattes"))) == 12
    finally:
        real.shutdown()
