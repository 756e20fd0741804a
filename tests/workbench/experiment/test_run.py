"""A run builds, compares, races and judges; a failure stops only its trials, and finished work is reused."""

from dataclasses import replace
from pathlib import Path

import pytest

from danmatte.contract.measurement import Measurement
from danmatte_workbench.errors import BudgetError, InputError, MachineError
from danmatte_workbench.experiment import run as running
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.experiment.compare import Comparison
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.schedule import Schedule, TimeModel
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.runtimes.isa_levels import find_highest, list_older
from danmatte_workbench.steps import Quantize, Shrink
from tests.workbench.experiment.runs import EFFORT, STOCK, KnownRace, in_process, known_race, make_run
from tests.workbench.facts import measured

__all__ = ["in_process", "known_race"]
pytestmark = pytest.mark.usefixtures("in_process", "known_race")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all runs of this file share, so that candidates are built once."""
    return tmp_path_factory.mktemp("run")


def get(result: ExperimentResult, recipe: str) -> Trial:
    return next(trial for trial in result.trials if trial.recipe.name == recipe)


def test_every_trial_is_built_compared_raced_and_judged(folder: Path) -> None:
    result = make_run(folder).run()
    for name, speed in (("float", 20), ("int8", 40)):
        trial = get(result, name)
        assert trial.candidate is not None
        assert trial.verdict.accepted
        assert trial.finalist
        assert trial.seconds > 0
        figures = {item.metric: item.value for item in trial.measurements}
        losses = {"iou_drop", "mean_iou", "boundary_iou", "iou_over_15"}
        assert set(figures) == losses | {"throughput", "speedup", "latency"}
        assert (figures["throughput"], figures["speedup"]) == (speed, speed / 10)
    assert (result.objective, result.effort, result.labelled) == ("throughput", "quick", True)
    assert (result.frames, result.calibration_frames) == (6, 3)
    assert result.origin.endswith("data")
    assert result.winner is None


def test_the_loss_of_each_candidate_in_each_choosing_frame_is_stored(folder: Path) -> None:
    run = make_run(folder)
    result = run.run()
    assert [row["frame"] for row in result.scores] == list(run.division.choosing.names)
    for row in result.scores:
        assert row["kind"] in ("kind0", "kind1")
        assert set(row["lost"]) == {"float f32", "int8 f32"}  # type: ignore[call-overload]
    total = sum(row["lost"]["int8 f32"] for row in result.scores)  # type: ignore[index]
    told = get(result, "int8").get("iou_drop")
    assert told is not None
    assert total == pytest.approx(told.samples * told.value, abs=0.01)  # frames without people lose nothing


def test_the_source_and_every_baseline_recipe_race_beside_the_trials(folder: Path) -> None:
    result = make_run(folder).run()
    names = [STOCK, "OpenVINO, uncut", "OpenVINO, uncut, NNCF defaults"]
    assert list(result.baselines) == KnownRace.held[-1].baselines == names
    assert result.fastest == STOCK
    metrics = {name: {item.metric for item in items} for name, items in result.baselines.items()}
    everything = {"throughput", "speedup", "latency", "iou_drop", "mean_iou", "boundary_iou", "iou_over_15"}
    assert all(found == everything for found in metrics.values())
    assert [item.value for item in result.baselines[STOCK] if item.metric == "iou_drop"] == [0]


def test_a_baseline_without_time_for_its_comparison_is_only_raced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Comparison, "is_done", lambda *_: False)
    monkeypatch.setattr(TimeModel, "estimate_comparison", lambda *_: 1e9)
    lines: list[str] = []
    result = make_run(folder, lines=lines, effort=replace(EFFORT, limit_s=600.0)).run()
    assert "iou_drop" not in {item.metric for item in result.baselines["OpenVINO, uncut"]}
    assert any("OpenVINO, uncut: raced, but not compared" in line for line in lines)


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (measured("iou_drop", 7.0, low=6.0, high=8.0), "no candidate can meet it"),
        (measured("iou_drop", 7.0, low=4.0, high=8.0), "hardly any candidate will meet it"),
        (measured("iou_drop", 1.0, low=-9.0, high=11.0), "6 frames are too few to confirm"),
        (measured("iou_drop", 1.0, low=-9.0, high=9.0), ""),
    ],
    ids=["surely", "perhaps", "few frames", "kept"],
)
def test_a_budget_that_even_float32_breaks_is_reported_before_other_builds(
    folder: Path, monkeypatch: pytest.MonkeyPatch, loss: Measurement, says: str
) -> None:
    """The budget's limit is 5 points."""
    monkeypatch.setattr(Comparison, "measure", lambda self, subject, **_: Accuracy((loss,)))
    built: list[str] = []
    build = ExperimentRun._build
    monkeypatch.setattr(ExperimentRun, "_build", lambda self, trial: built.append(trial.name) or build(self, trial))
    lines: list[str] = []
    run = make_run(folder, lines=lines)
    if loss.low > 5:
        with pytest.raises(BudgetError, match=f"even in float32.*{says}.*or more"):
            run.run()
        assert "int8 latency f32" not in built
        return
    run.run()
    told = [line for line in lines if "even in float32" in line]
    assert len(told) == bool(says)
    assert all(says in line for line in told)


def test_the_winner_is_confirmed_on_frames_that_did_not_choose_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("danmatte_workbench.experiment.confirming.MIN_FRAMES", 6)
    run = make_run(folder)
    assert (len(run.division.choosing), len(run.division.confirming)) == (2, 4)
    result = run.confirm(run.run())
    assert (result.choosing_frames, result.confirming_frames, result.kinds) == (2, 4, {"kind0": 3, "kind1": 3})
    (best,) = (trial for trial in result.trials if trial.confirmation)
    assert best.recipe.name == "int8"
    assert best.confirmation is not None
    assert best.confirmation.frames == 4
    assert best.confirmation.choosing.measurements[0].metric == "iou_drop"
    assert best.verdict.accepted


def test_speedups_are_relative_to_the_source_even_if_another_baseline_is_faster(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownRace, "speeds", {"uncut": 99.0})
    result = make_run(folder).run()
    assert result.fastest == STOCK
    (speedup,) = (item for item in result.baselines["OpenVINO, uncut"] if item.metric == "speedup")
    assert speedup.value == pytest.approx(9.9)


def test_a_recipe_that_cannot_be_applied_is_a_rejected_trial(folder: Path) -> None:
    lines: list[str] = []
    result = make_run(folder, lines=lines).run()
    broken = get(result, "broken")
    assert (broken.candidate, broken.measurements) == (None, ())
    (reason,) = broken.verdict.broken
    assert "has no node nowhere" in reason
    assert "Error" not in reason  # names of classes mean nothing to a user
    assert broken.state == "doesn't apply"
    assert any("broken latency f32: " in line for line in lines)
    assert "broken" not in "".join(KnownRace.held[-1].subjects)


def test_8_bit_graphs_are_also_compared_under_the_oldest_instruction_set(folder: Path) -> None:
    levels = (*list_older(), find_highest() or "")
    result = make_run(folder, levels=levels).run()
    assert [item.level for item in get(result, "int8").levels] == list(levels[:-1][:1])
    assert get(result, "float").levels == ()
    run = make_run(folder, levels=levels)
    whole = run.compare_under(get(result, "int8"), levels)
    assert [item.level for item in whole.levels] == list(levels[:-1])
    assert {item.measurement.metric for item in whole.levels} <= {"iou_drop"}


def test_a_trial_over_budget_under_an_older_instruction_set_is_rejected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = Comparison.measure

    def lose_more(self: Comparison, subject: Subject, *, time_s: float = 0.0, level: str = "", **_: object) -> Accuracy:
        return Accuracy((measured("iou_drop", 9.0),)) if level else measure(self, subject, time_s=time_s)

    monkeypatch.setattr(Comparison, "measure", lose_more)
    result = make_run(folder, levels=("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI")).run()
    trial = get(result, "int8")
    assert [item.level for item in trial.levels] == ["AVX2"]
    assert trial.verdict.broken == ("on AVX2: iou_drop is 9 u, the limit is 5",)
    assert not trial.finalist
    assert get(result, "float").verdict.accepted


def test_no_race_is_held_if_no_trial_can_win(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "keeps_accuracy", lambda self, budget: False)
    result = make_run(folder).run()
    assert KnownRace.held == []
    trial = get(result, "int8")
    assert not trial.finalist
    assert trial.get("throughput") is None
    assert trial.get("iou_drop") is not None
    assert result.fastest == STOCK


def test_a_trial_that_cannot_win_is_raced_but_never_a_finalist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "keeps_accuracy", lambda self, budget: self.recipe.name == "float")
    trial = get(make_run(folder).run(), "int8")
    assert KnownRace.held[-1].rated["int8 latency f32"] is None
    assert not trial.finalist
    assert trial.get("throughput") is not None


def test_if_time_is_short_only_the_best_trial_and_the_source_are_raced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder).run()  # so that all candidates are stored
    hurried = replace(EFFORT, limit_s=20.0)
    monkeypatch.setattr(Schedule, "estimate_race", lambda self, trials: 30.0 * trials)
    monkeypatch.setattr(Schedule, "estimate_building", lambda self, trial: 30.0)
    lines: list[str] = []
    result = make_run(folder, lines=lines, effort=hurried).run()
    assert [name for name in KnownRace.held[-1].subjects if name.endswith("f32")] == ["int8 latency f32"]
    assert list(result.baselines) == [STOCK]
    left = get(result, "float")
    assert (left.state, left.verdict.broken[0]) == ("not tried", "there was no time left to race it")
    assert any("OpenVINO, uncut: not tried: it would take 30 s, but " in line for line in lines)


def test_a_trial_that_exceeds_its_time_limit_fails_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[bool] = []

    def hang(self: Workspace, function: object, *_: object, of_trial: bool = True, **__: object) -> object:
        limits.append(of_trial)
        raise MachineError("timed out after 1 s")

    run = make_run(folder)
    own = run.comparison.original
    monkeypatch.setattr(Workspace, "isolate", hang)
    monkeypatch.setattr(Comparison, "is_done", lambda self, subject, level="": subject == own)
    monkeypatch.setattr(Builder, "find", lambda self, recipe: None)
    result = run.run()
    assert {trial.state for trial in result.trials} == {"failed"}
    assert {trial.verdict.broken for trial in result.trials} == {("timed out after 1 s",)}
    assert all(limits)


def test_a_trial_that_drops_out_of_the_race_is_rejected_with_its_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnownRace, "dropouts", {"int8 latency f32": "MachineError: its process died"})
    trial = get(make_run(folder).run(), "int8")
    assert trial.verdict.broken[0] == "MachineError: its process died"
    assert trial.get("throughput") is None
    assert trial.get("iou_drop") is not None


def test_a_second_run_builds_and_compares_nothing_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_run(folder).run()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it is stored already")

    monkeypatch.setattr(Builder, "build", refuse)
    monkeypatch.setattr(running.Workspace, "isolate", refuse)
    lines: list[str] = []
    second = make_run(folder, lines=lines).run()
    assert second.trials == first.trials
    assert any("cached: 3 of 3 trials" in line for line in lines)


def test_a_trial_that_is_unlikely_to_win_may_take_little_of_the_time_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(folder).run()  # so that all candidates are stored
    whole, quantized, _ = make_run(folder).experiment.trials
    light = replace(
        quantized.recipe, name="light", steps=(*quantized.recipe.steps[:-1], Shrink(0.5), Quantize(frames=2))
    )
    trials = (whole, Trial.propose(light, whole.configuration, whole.canvas), quantized)
    monkeypatch.setattr(Schedule, "estimate_building", lambda self, trial: 150.0)
    monkeypatch.setattr(Trial, "keeps_accuracy", lambda self, budget: True)
    lines: list[str] = []
    result = make_run(folder, lines=lines, effort=replace(EFFORT, limit_s=1000.0), trials=trials).run()
    assert get(result, "int8").state == "not tried"
    assert get(result, "int8").verdict.broken[0].endswith(" s left; it is unlikely to win")
    assert get(result, "light").candidate is not None
    assert any("int8: postponed: light keeps the budget with less work" in line for line in lines)


def test_a_trial_without_enough_time_is_skipped_now_and_when_resumed(folder: Path) -> None:
    lines: list[str] = []
    hurried = replace(EFFORT, limit_s=30.0)
    first = make_run(folder, lines=lines, effort=hurried).run()
    late = get(first, "broken")  # the third: two are always tried
    assert late.verdict.broken[0].startswith("with the race it would take ")
    assert late.state == "not tried"
    # If only one trial can be raced, it is the most promising one, not the safe one that was tried first.
    assert get(first, "int8").verdict.accepted
    assert get(first, "float").verdict.broken == ("there was no time left to race it",)
    assert any(
        "effort quick ends after 30 s; skipped unless others take less time: broken (about " in line for line in lines
    )
    again = make_run(folder, effort=hurried)
    assert [trial.recipe.name for trial in again.schedule.trials] == ["float", "int8"]
    assert [trial.recipe.name for trial in again.schedule.list_dropped()] == ["broken"]


def test_after_all_trials_only_the_race_and_the_study_count_as_time_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the last lines would show minutes left for trials that were refused or dropped."""
    run, left = make_run(folder, effort=replace(EFFORT, limit_s=1e5)), []

    class NotingRace(KnownRace):
        def __enter__(self) -> KnownRace:
            left.append(run.workspace.progress.left_s / run.workspace.progress.pace)
            return self

    monkeypatch.setattr(running, "Race", NotingRace)
    run.schedule.drop(run.schedule.trials[1], "no time")
    run.run()
    race_s = run.schedule.estimate_race(1) / run.schedule.pace
    assert left == [pytest.approx(race_s + run.schedule.estimate.after_s)]


def test_without_true_masks_trials_are_compared_with_the_source(folder: Path) -> None:
    result = make_run(folder, masks=False).run()
    assert not result.labelled
    assert {item.metric for item in get(result, "float").measurements} == {
        "iou_drop",
        "throughput",
        "speedup",
        "latency",
    }
    assert {item.metric for item in result.baselines[STOCK]} == {"throughput", "speedup", "latency"}


def test_a_baseline_that_cannot_be_built_is_reported_and_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Builder.find

    def find_some(self: Builder, recipe: object) -> object:
        if recipe.name == "uncut":  # type: ignore[attr-defined]
            raise InputError("no")
        return find(self, recipe)  # type: ignore[arg-type]

    monkeypatch.setattr(Builder, "find", find_some)
    lines: list[str] = []
    result = make_run(folder, lines=lines).run()
    assert "OpenVINO, uncut" not in result.baselines
    assert any(line.endswith("OpenVINO, uncut: no") for line in lines)


def test_a_race_whose_source_died_fails_with_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownRace, "dropouts", {STOCK: "MachineError: its process died"})
    with pytest.raises(MachineError, match="its process died"):
        make_run(folder).run()


def test_every_round_is_reported_to_progress(folder: Path) -> None:
    lines: list[str] = []
    make_run(folder, lines=lines).run()
    assert any("racing 2 trials and 3 baselines, interleaved" in line for line in lines)
    assert any(line.endswith("round 1 of 1") for line in lines)


def test_a_race_ends_at_the_time_limit_of_the_effort(folder: Path) -> None:
    for limit_s, over in ((1e6, False), (1.0, True)):
        run = make_run(folder, effort=replace(EFFORT, limit_s=limit_s))
        race = run.open_race([], [], 1)
        assert race.config.is_over() is over  # type: ignore[attr-defined]
