"""The winner keeps its budget under every instruction set that it has to suit; otherwise the next best one wins."""

from dataclasses import replace
from pathlib import Path

import pytest

from danmatte_workbench.errors import BudgetError, MachineError
from danmatte_workbench.experiment.compare import Comparison
from danmatte_workbench.experiment.portability import choose_portable, settle_portable
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.metrics.subject import Subject
from tests.workbench.experiment.runs import in_process, known_race, make_run
from tests.workbench.facts import measured

__all__ = ["in_process", "known_race"]
pytestmark = pytest.mark.usefixtures("in_process", "known_race")
LEVELS = ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("portability")


@pytest.fixture
def finished(folder: Path) -> tuple[ExperimentRun, ExperimentResult]:
    run = make_run(folder, levels=LEVELS)
    return run, run.run()


def lose(monkeypatch: pytest.MonkeyPatch, points: dict[str, float]) -> list[str]:
    """Let each level cost these points; return the levels that were compared."""
    compared: list[str] = []

    def measure(self: Comparison, subject: Subject, *, level: str = "", **_: object) -> Accuracy:
        compared.append(level)
        if points.get(level, 0.0) < 0:
            raise MachineError("no time")
        return Accuracy((measured("iou_drop", points.get(level, 0.0)),))

    monkeypatch.setattr(Comparison, "measure", measure)
    return compared


def test_the_winner_is_compared_under_every_level_except_this_cpus_own(
    finished: tuple[ExperimentRun, ExperimentResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = lose(monkeypatch, {})
    result, winner = choose_portable(*finished)
    assert winner.recipe.name == "int8"
    assert [item.level for item in winner.levels] == ["AVX2", "AVX512_CORE"]
    assert compared == ["AVX512_CORE"]  # the oldest was compared before the race
    assert winner in result.trials


@pytest.mark.parametrize(
    ("lost", "state"), [(9.0, "rejected"), (-1.0, "failed")], ids=["loses more", "can't be compared"]
)
def test_the_next_best_wins_if_the_first_breaks_the_budget_on_an_older_cpu(
    finished: tuple[ExperimentRun, ExperimentResult], monkeypatch: pytest.MonkeyPatch, lost: float, state: str
) -> None:
    lose(monkeypatch, {"AVX512_CORE": lost})
    result, winner = choose_portable(*finished)
    assert winner.recipe.name == "float"
    fallen = next(trial for trial in result.trials if trial.recipe.name == "int8")
    assert not fallen.verdict.accepted
    assert fallen.state == state
    assert "AVX512_CORE" in fallen.verdict.broken[0] or "no time" in fallen.verdict.broken[0]


def test_no_trial_wins_if_the_only_one_breaks_the_budget_on_an_older_cpu(
    finished: tuple[ExperimentRun, ExperimentResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, result = finished
    lose(monkeypatch, {"AVX512_CORE": 9.0})
    only = tuple(trial for trial in result.trials if trial.recipe.name == "int8")
    with pytest.raises(BudgetError, match="on AVX512_CORE: iou_drop"):
        choose_portable(run, replace(result, trials=only))
    # The run's record has the reason, too.
    (fallen,) = settle_portable(run, replace(result, trials=only)).trials
    assert fallen.state == "rejected"
    assert "on AVX512_CORE: iou_drop" in fallen.verdict.broken[0]


def test_levels_are_compared_with_the_confidence_of_the_confirmation(
    finished: tuple[ExperimentRun, ExperimentResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    intervals: list[tuple[object, object]] = []

    def measure(self: Comparison, subject: Subject, *, confidence: float, anew: bool, **_: object) -> Accuracy:
        intervals.append((confidence, anew))
        return Accuracy((measured("iou_drop", 0.0),))

    run, result = finished
    monkeypatch.setattr(Comparison, "measure", measure)
    _, winner = choose_portable(run, result)
    assert winner.confirmation is not None
    assert intervals == [(winner.confirmation.confidence, True)]
    assert winner.confirmation.confidence > 0.95
