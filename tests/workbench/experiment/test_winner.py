"""The study of the winner: a better configuration replaces its own, and a measurement that fails is skipped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench.benchmark.isa import IsaPoint
from danmatte_workbench.benchmark.layers import LayerTime
from danmatte_workbench.benchmark.space import Point, Space
from danmatte_workbench.budget import Budget
from danmatte_workbench.configuration import Setting
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment import winner as studying
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.experiment.winner import WinnerStudy
from tests.workbench.benchmark.test_space import point
from tests.workbench.experiment.runs import EFFORT, STOCK, KnownRace, in_process, known_race, make_run
from tests.workbench.facts import measured

__all__ = ["in_process", "known_race"]
SWEEPING = replace(EFFORT, sweep_s=8.0)
SPACE = Space.for_cpu(4)
USUAL, SOON = point(SPACE.reference, 1.0), point(SPACE.soonest, 0.5, latency=9.0)
FASTER = point(Setting(1, 1, 2, 1), 2.0, latency=1.0)


class KnownMeasurements:
    """Known results of all measurements; every call is recorded."""

    def __init__(self) -> None:
        self.points: tuple[Point, ...] = (USUAL, SOON)
        self.calls: list[str] = []
        self.broken: set[str] = set()

    def run_sweep(self, artifact: Any, pictures: Any, *, budget_s: float, report: Any, base: Any) -> tuple[Point, ...]:
        """Return the known points."""
        self._note(f"sweep {base.precision} {budget_s:g}")
        return self.points

    def measure_isa_levels(self, subjects: Any, data: Any, **_: Any) -> tuple[IsaPoint, ...]:
        """Return one level of each subject."""
        self._note(f"isa {len(subjects)}")
        return tuple(IsaPoint("AVX2", subject.name, "avx2", (measured("throughput", 5),)) for subject in subjects)

    def profile_layers(self, artifact: Any, configuration: Any, pictures: Any) -> tuple[LayerTime, ...]:
        """Return one layer."""
        self._note(f"layers {configuration.precision}")
        return (LayerTime("conv", "Convolution", "f32", "jit", 1.5),)

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if call.split()[0] in self.broken:
            raise MachineError(f"{call} died")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, in_process: None, known_race: type[KnownRace]) -> KnownMeasurements:
    found = KnownMeasurements()
    for name in ("run_sweep", "measure_isa_levels", "profile_layers"):
        monkeypatch.setattr(studying, name, getattr(found, name))
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which candidates are built once; each test has separate results."""
    return tmp_path_factory.mktemp("winner")


@pytest.fixture
def ended(home: Path, known: KnownMeasurements) -> tuple[ExperimentRun, ExperimentResult, list[str]]:
    """A run before its sweep, its result, and its log."""
    lines: list[str] = []
    run = make_run(home, lines=lines, effort=SWEEPING)
    for kind in ("sweeps", "isas", "layers"):
        for path in (home / "store/results" / kind).glob("*.json"):
            path.unlink()
    return run, run.run(), lines


def pick(result: ExperimentResult, recipe: str = "int8") -> Trial:
    return next(trial for trial in result.trials if trial.recipe.name == recipe)


Ended = tuple[ExperimentRun, ExperimentResult, list[str]]


def test_if_no_setting_beats_the_default_the_winner_stays(
    ended: Ended, known: KnownMeasurements, tmp_path: Path
) -> None:
    run, result, _ = ended
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    found = study.inspect(tmp_path / "masks")
    assert found.winner == pick(result)
    assert found.trials == result.trials
    assert known.calls[:2] == ["sweep f32 4", "sweep f32 2"]  # the winner's, and the whole graph's
    assert [row["who"] for row in found.analysis.sweep] == ["int8 latency f32"] * 2 + ["OpenVINO, uncut"] * 2


def test_a_faster_setting_is_raced_against_the_winner_and_replaces_it(ended: Ended, known: KnownMeasurements) -> None:
    run, result, lines = ended
    known.points = (USUAL, SOON, FASTER)
    KnownRace.speeds = {"swept": 80.0, "int8": 40.0}
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert study.winner.name == "int8 latency f32, swept"
    assert study.winner.configuration == FASTER.apply_to(pick(result).configuration)
    assert KnownRace.held[-1].baselines == [STOCK]
    assert list(KnownRace.held[-1].subjects) == [STOCK, "int8 latency f32", "int8 latency f32, swept"]
    assert [trial.name for trial in study.result.trials][-1] == study.winner.name
    assert study.winner.get("throughput").value == 80  # type: ignore[union-attr]
    assert study.winner.get("iou_drop") == pick(result).get("iou_drop")
    assert any("against the swept configuration" in line for line in lines)


def test_a_setting_that_loses_the_race_is_kept_as_a_trial(ended: Ended, known: KnownMeasurements) -> None:
    run, result, _ = ended
    known.points = (USUAL, SOON, FASTER)
    KnownRace.speeds = {"swept": 30.0, "int8": 40.0}
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert study.winner.name == "int8 latency f32"
    assert len(study.result.trials) == len(result.trials) + 1


def test_if_the_race_against_the_swept_setting_fails_the_winner_stays(ended: Ended, known: KnownMeasurements) -> None:
    run, result, lines = ended
    known.points = (USUAL, SOON, FASTER)
    KnownRace.dropouts = dict.fromkeys(("int8 latency f32", "int8 latency f32, swept"), "MachineError: died")
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert (study.winner, study.result) == (pick(result), result)
    assert any("nothing met the budget" in line for line in lines)


def test_nothing_is_swept_if_the_effort_has_no_time_for_it(
    home: Path, known: KnownMeasurements, tmp_path: Path
) -> None:
    run = make_run(home)
    result = run.run()
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    found = study.inspect(tmp_path / "masks")
    assert not [call for call in known.calls if call.startswith(("sweep", "isa"))]
    assert (found.analysis.sweep, found.analysis.isa) == ([], [])


def test_layers_of_the_whole_graph_and_of_the_winner_are_profiled(
    ended: Ended, known: KnownMeasurements, tmp_path: Path
) -> None:
    run, result, _ = ended
    found = WinnerStudy(run, result, pick(result)).inspect(tmp_path / "masks")
    assert [row["name"] for row in (*found.analysis.before, *found.analysis.after)] == ["conv", "conv"]
    assert known.calls.count("layers f32") == 2


def test_older_instruction_sets_are_measured_for_the_winner_and_its_float_original(
    ended: Ended, known: KnownMeasurements, tmp_path: Path
) -> None:
    run, result, _ = ended
    found = WinnerStudy(run, result, pick(result)).inspect(tmp_path / "a")
    assert [row["who"] for row in found.analysis.isa] == ["int8 latency f32", "float"]
    assert found.analysis.isa[0]["measurements"] == {"throughput": measured("throughput", 5).numbers}


def test_older_instruction_sets_are_measured_once_for_a_float_winner(
    ended: Ended, known: KnownMeasurements, tmp_path: Path
) -> None:
    run, result, _ = ended
    found = WinnerStudy(run, result, pick(result, "float")).inspect(tmp_path / "masks")
    assert [row["who"] for row in found.analysis.isa] == ["float latency f32"]


def test_masks_of_the_compared_frames_are_painted(ended: Ended, tmp_path: Path) -> None:
    run, result, _ = ended
    found = WinnerStudy(run, result, pick(result)).inspect(tmp_path / "masks")
    assert len(found.analysis.masks) == 6
    assert all((tmp_path / "masks" / row["files"]["winner"]).exists() for row in found.analysis.masks)


@pytest.mark.parametrize(("call", "empty"), [("sweep", "sweep"), ("isa", "isa"), ("layers", "before")])
def test_a_measurement_that_fails_is_reported_and_left_out(
    ended: Ended, known: KnownMeasurements, tmp_path: Path, call: str, empty: str
) -> None:
    run, result, lines = ended
    known.broken = {call}
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    found = study.inspect(tmp_path / "masks")
    assert getattr(found.analysis, empty) == []
    assert found.winner == pick(result)
    assert any(line.endswith(" died") for line in lines)
    assert found.analysis.masks


def test_measurements_of_an_earlier_run_are_not_repeated(
    ended: Ended, known: KnownMeasurements, tmp_path: Path
) -> None:
    run, result, _ = ended
    for number in range(2):
        study = WinnerStudy(run, result, pick(result))
        study.tune()
        found = study.inspect(tmp_path / str(number))
        assert len(found.analysis.sweep) == 4
    assert len(known.calls) == len(set(known.calls)) + 1  # the layers of two graphs


def test_each_speed_metric_appears_once_with_the_value_of_the_last_race(ended: Ended, known: KnownMeasurements) -> None:
    run, result, _ = ended
    known.points = (USUAL, SOON, FASTER)
    KnownRace.speeds, KnownRace.frames = {"swept": 80.0, "int8": 40.0}, 40
    study = WinnerStudy(run, result, pick(result).add([measured("latency_p95", 1.0)]))
    study.tune()
    metrics = [item.metric for item in study.winner.measurements]
    assert "latency_p95" in metrics
    assert sorted(metrics) == sorted(set(metrics))
    assert study.winner.get("latency_p95").value == 1000 / 80  # type: ignore[union-attr]


def test_balanced_does_not_race_a_setting_with_higher_latency_than_the_source(
    ended: Ended, known: KnownMeasurements
) -> None:
    run, result, _ = ended
    run.experiment = replace(run.experiment, objective="balanced")
    known.points = (USUAL, SOON, replace(FASTER, timing=point(FASTER.setting, 2.0, latency=1e4).timing))
    held = len(KnownRace.held)
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert study.winner == pick(result)
    assert len(KnownRace.held) == held


def test_balanced_rejects_a_setting_whose_latency_in_the_race_exceeds_the_sources(
    ended: Ended, known: KnownMeasurements
) -> None:
    run, result, _ = ended
    run.experiment = replace(run.experiment, objective="balanced")
    known.points = (USUAL, SOON, FASTER)
    KnownRace.speeds, KnownRace.latencies = {"swept": 80.0, "int8": 40.0}, {"swept": 999.0}
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert study.winner.name == "int8 latency f32"
    assert [trial.is_slower for trial in study.result.trials if "swept" in trial.name] == [True]


def test_a_different_latency_limit_needs_a_new_sweep(ended: Ended, known: KnownMeasurements) -> None:
    run, result, _ = ended
    for limit in (None, 20.0):
        run.experiment = replace(run.experiment, budget=Budget(5.0, limit))
        WinnerStudy(run, result, pick(result)).tune()
    assert known.calls.count("sweep f32 4") == 2


def test_after_the_time_limit_of_the_effort_nothing_is_swept(
    ended: Ended, known: KnownMeasurements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, result, lines = ended
    monkeypatch.setattr(Workspace, "left_s", 1.0)
    study = WinnerStudy(run, result, pick(result))
    study.tune()
    assert study.inspect(tmp_path / "masks").analysis.isa == []
    assert not [call for call in known.calls if call.startswith(("sweep", "isa"))]
    assert any("sweeping int8 latency f32: not tried: it takes 4 s, but 1 s are left" in line for line in lines)
