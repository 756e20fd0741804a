"""The search for settings, and a sweep of a real graph."""

import math
import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.configuration import Configuration
from danmatte_workbench.benchmark import sweep
from danmatte_workbench.benchmark.load import TimingTask
from danmatte_workbench.benchmark.space import BATCHES, Point, Space
from danmatte_workbench.benchmark.sweep import Deadline, SettingSearch, SweepProcess, run_sweep, search_space
from danmatte_workbench.benchmark.windows import Timing
from danmatte_workbench.configuration import Setting, configure
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.hardware import describe_host
from danmatte_workbench.processes.child import Child
from tests.workbench import inner
from tests.workbench.answering import fated
from tests.workbench.benchmark.test_space import measurement, point

SPACE = Space.for_cpu(2)
FIRST = point(SPACE.reference, 1.0)
AGES = 3600.0


def quiet(_: str) -> None:
    """Ignore the text."""


class Landscape:
    """Known speeds; ``cliff`` are batches that can't be timed. All requested settings are recorded."""

    def __init__(self, *, cliff: tuple[int, ...] = ()) -> None:
        self.requested: list[Setting] = []
        self._cliff = cliff

    def time_setting(self, setting: Setting, until: float) -> Timing:
        """Return a timing that is best at batch 4 and two streams."""
        assert until > time.monotonic() - 1
        self.requested.append(setting)
        if setting.batch in self._cliff:
            raise MachineError("its process died")
        away = abs(math.log2(setting.batch / 4)) + abs(setting.streams - 2)
        ratio = 2.0 / (1 + away)
        found = (measurement("throughput", 1000 * ratio), measurement("latency", 1.0), measurement("ratio", ratio))
        return Timing(*found, agreed=True)


def searched(landscape: Landscape, *, seconds: float = AGES, space: Space = SPACE) -> tuple[Point, ...]:
    deadline = Deadline(time.monotonic() + seconds, seconds / 8)
    return search_space(landscape, space, FIRST, deadline=deadline, report=quiet)


def test_the_lines_are_searched_first_and_no_setting_twice() -> None:
    landscape = Landscape()
    points = searched(landscape)
    assert landscape.requested[: len(SPACE.lines) - 1] == SPACE.lines[1:]
    assert len(landscape.requested) == len(set(landscape.requested)) == len(points) - 1
    assert points[0] == FIRST


def test_the_search_continues_beyond_the_lines_and_finds_the_peak() -> None:
    landscape = Landscape()
    points = searched(landscape)
    assert len(landscape.requested) > len(SPACE.lines)
    assert any(not setting.pinning for setting in landscape.requested)
    fastest = max((item for item in points if item.timing), key=lambda item: item.timing.ratio.value)
    assert (fastest.setting.batch, fastest.setting.streams) == (4, 2)


def test_the_order_of_a_search_is_reproducible() -> None:
    first, second = Landscape(), Landscape()
    searched(first)
    searched(second)
    assert first.requested == second.requested


def test_no_setting_has_more_streams_than_threads() -> None:
    landscape = Landscape()
    searched(landscape, space=Space.for_cpu(8))
    assert all(setting.streams <= setting.threads for setting in landscape.requested)


def test_the_search_continues_after_a_failed_setting_and_records_its_reason() -> None:
    points = searched(Landscape(cliff=(8,)))
    died = [item for item in points if item.setting.batch == 8]
    assert died
    assert all(item.timing is None and item.note == "its process died" for item in died)
    assert any(item.setting.batch == 16 and item.timing for item in points)


def test_settings_for_which_no_time_remains_are_noted_and_not_started() -> None:
    landscape = Landscape()
    points = searched(landscape, seconds=5.0)  # the reference has 10 frames a second
    assert landscape.requested
    assert max(setting.batch * setting.requests for setting in landscape.requested) <= 5
    skipped = next(item for item in points if item.setting.batch == 16)
    assert skipped.note.startswith("not measured: it takes 32 s")


def test_without_time_only_the_reference_is_returned() -> None:
    assert searched(Landscape(), seconds=0.0) == (FIRST,)


def test_a_new_child_process_is_started_after_one_died() -> None:
    fates = iter(("die", "live"))
    with SweepProcess(lambda: Child("ill", fated, next(fates))) as process:
        with pytest.raises(MachineError, match=r"ill: its process died \(exit code 7\)"):
            process.time_setting(Setting(), time.monotonic())
        assert process.time_setting(Setting(), 5.0) == TimingTask(Setting(), 5.0)  # the new child returns its request
    assert multiprocessing.active_children() == []


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (1, inner.SIDE, inner.SIDE, 3), np.uint8) for _ in range(4)]


def test_a_graph_is_swept_within_its_budget(tmp_path: Path, pictures: list[np.ndarray]) -> None:
    lines: list[str] = []
    begun = time.monotonic()
    points = run_sweep(inner.write(tmp_path / "graph.xml"), pictures, budget_s=6.0, report=lines.append)
    assert time.monotonic() - begun < 60
    assert len(lines) == len(points) >= 2
    assert points[0].timing is not None
    assert points[0].timing.throughput.unit == "frames/s"
    assert points[0].timing.throughput.host == describe_host()
    assert {item.setting.batch for item in points} <= set(BATCHES)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("seconds", "base", "error", "says"),
    [
        (0.0, configure(), InputError, "budget"),
        (5.0, configure(device="NOSUCH"), MachineError, "NOSUCH"),
    ],
)
def test_an_invalid_budget_or_device_is_refused_before_the_sweep_starts(
    tmp_path: Path, seconds: float, base: Configuration, error: type[Exception], says: str
) -> None:
    artifact = inner.write(tmp_path / "graph.xml")
    begun = time.monotonic()
    with pytest.raises(error, match=says):
        run_sweep(artifact, [], budget_s=seconds, report=quiet, base=base)
    assert time.monotonic() - begun < 5


def test_pictures_of_a_different_size_are_refused(tmp_path: Path) -> None:
    wrong = [np.zeros((1, 9, 9, 3), np.uint8)]
    with pytest.raises(InputError, match=r"graph\.xml: expected pictures of \(1, 65, 65, 3\), received \(1, 9, 9, 3\)"):
        run_sweep(inner.write(tmp_path / "graph.xml"), wrong, budget_s=5.0, report=quiet)


class KnownProcess:
    """A fake child process of a sweep: all settings are equally fast; ``refusal`` is the error of batches."""

    refusal = ""

    def __init__(self, new: object) -> None:
        """Do nothing."""

    def __enter__(self) -> "KnownProcess":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def time_setting(self, setting: Setting, until: float) -> Timing:
        found = point(setting, 1.0).timing
        assert found is not None
        return found

    def probe_batch(self, batch: int) -> str:
        return self.refusal


@pytest.mark.parametrize(("refusal", "batches"), [("", set(BATCHES)), ("it mixes them up", {1, 2})])
def test_a_graph_that_fails_the_batch_probe_is_swept_without_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str, batches: set[int]
) -> None:
    monkeypatch.setattr(sweep, "SweepProcess", KnownProcess)
    monkeypatch.setattr(KnownProcess, "refusal", refusal)
    lines: list[str] = []
    points = run_sweep(inner.write(tmp_path / "graph.xml"), [], budget_s=2000.0, report=lines.append)
    assert {found.setting.batch for found in points} == batches
    unmeasured = [found for found in points if found.timing is None]
    assert [found.note for found in unmeasured] == ([refusal] if refusal else [])
    assert (f"batch: {refusal}" in lines) == bool(refusal)


def test_a_setting_may_take_its_share_of_the_time_until_the_deadline_at_most() -> None:
    now = time.monotonic()
    assert Deadline(now + 100, 10).until == pytest.approx(now + 10, abs=1)
    assert Deadline(now + 5, 10).until == now + 5
    assert Deadline(now + 5, 10).left_s == pytest.approx(5, abs=1)


def test_the_search_proposes_no_setting_that_is_already_known() -> None:
    study = SettingSearch(SPACE)
    first = study.ask({})
    assert first == SPACE.lines[0]
    known = {setting: point(setting, 1.0) for setting in SPACE.lines[:3]}
    assert study.ask(known) not in known
