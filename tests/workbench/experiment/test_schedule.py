"""Time estimates, the trials that fit a run's time, and that a resumed run tries the same ones."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.build import REFUSALS, Builder
from danmatte_workbench.experiment.compare import Comparison
from danmatte_workbench.experiment.schedule import Estimate, Schedule, TimeModel, choose_affordable
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.recipe import find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Convert, Distil, Prune, Quantize, Reshape
from tests.workbench.facts import CUT, HEAD, recipe, workspace

QUANTIZED = recipe(name="int8", steps=(CUT, Quantize(frames=64)))
PRUNED = recipe(name="int8-pruned", steps=(CUT, Quantize(frames=64), Prune(share=0.3, frames=96)))
WHOLE = recipe(name="whole", steps=(Convert((1, 65, 65, 3), ("a:0",), False, "RGB", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),))
F32, BF16 = configure(), configure(precision="bf16")
QUICK = Effort("quick", calibration=1, frames=400, rounds=10, round_s=1.0, limit_s=240.0)


def model(folder: Path, source_s: float = 0.2) -> TimeModel:
    return TimeModel(source_s, workspace(folder))


def test_the_estimate_of_a_build_grows_with_frames_and_the_sources_time(tmp_path: Path) -> None:
    slow, fast = model(tmp_path, 0.4), model(tmp_path, 0.2)
    assert slow.estimate_build(QUANTIZED, 64) > fast.estimate_build(QUANTIZED, 64) > fast.estimate_build(QUANTIZED, 8)
    assert fast.estimate_build(QUANTIZED, 64) == fast.estimate_build(QUANTIZED, 1000)
    assert fast.estimate_build(PRUNED, 96) > fast.estimate_build(QUANTIZED, 96)


def test_comparisons_are_estimated_slowest_for_whole_graphs_and_fastest_for_8_bits(tmp_path: Path) -> None:
    took = [model(tmp_path).estimate_comparison(item, 100) for item in (WHOLE, recipe(), QUANTIZED)]
    assert took == sorted(took, reverse=True)
    assert len(set(took)) == 3
    assert model(tmp_path).estimate_source(100) > took[0]


def test_a_measured_build_time_is_reused_and_scaled_for_a_different_source(tmp_path: Path) -> None:
    model(tmp_path, 0.2).remember(QUANTIZED, 33.0)
    assert model(tmp_path, 0.2).estimate_build(QUANTIZED, 64) == 33
    assert model(tmp_path, 0.4).estimate_build(QUANTIZED, 64) == 66
    assert model(tmp_path, 0.01).estimate_build(QUANTIZED, 64) == 16.5  # the time to start a process remains
    assert model(tmp_path, 0.2).estimate_build(PRUNED, 64) != 33


def test_a_stored_beginning_reduces_the_estimate_of_a_build(tmp_path: Path) -> None:
    artifact = Artifact(tmp_path / "graph.xml", "d" * 64, (), ())
    begun = Candidate(recipe(steps=PRUNED.steps[:2]), "c" * 64, artifact, ("cut: done", "quantize: done"), seconds=20.0)
    times = model(tmp_path)
    saved = times.estimate_build(PRUNED, 96) - times.estimate_build(PRUNED, 96, begun)
    assert saved == pytest.approx(sum(step.estimate_s(96, 0.2) for step in begun.recipe.steps))
    times.remember(PRUNED, 90.0)
    assert times.estimate_build(PRUNED, 96, begun) == 70
    assert times.estimate_build(PRUNED, 96, replace(begun, seconds=999.0)) > 0  # a process has to start anyway


def test_the_estimate_of_a_race_follows_from_its_rounds_and_subjects(tmp_path: Path) -> None:
    effort = replace(QUICK, first_rounds=3, finalists=4)
    few, many = (model(tmp_path, 0.01).estimate_race(effort, trials, 2) for trials in (4, 10))
    assert few == pytest.approx(2 * 9 + 8 * 2 + 10 * 10)
    assert many == pytest.approx(2 * 9 + 14 * 2 + 10 * 10 + 3 * 16)


def test_a_slow_source_lengthens_the_estimate_of_a_race(tmp_path: Path) -> None:
    assert model(tmp_path, 2.0).estimate_race(QUICK, 4, 2) > model(tmp_path, 0.01).estimate_race(QUICK, 4, 2) + 100


def test_the_study_of_the_winner_includes_sweeps_only_if_the_effort_does(tmp_path: Path) -> None:
    without, sweeping = (model(tmp_path).estimate_study(replace(QUICK, sweep_s=seconds)) for seconds in (0.0, 100.0))
    assert set(without) == {"layers", "masks"}
    assert {name: sweeping[name] for name in sweeping if name not in without} == {
        "sweeps": 75.0,
        "isas": 50.0,
        "rematch": 25.0,
    }


def test_the_estimate_of_a_distillation_grows_with_its_lessons(tmp_path: Path) -> None:
    few, many = (recipe(steps=(Distil(lessons=lessons, batch=8, share=0.5, frames=100),)) for lessons in (100, 1000))
    assert model(tmp_path).estimate_build(many, 100) - model(tmp_path).estimate_build(few, 100) == pytest.approx(540)


def test_an_estimate_is_formatted_with_the_time_of_each_part() -> None:
    estimate = Estimate({"float": 30.0, "int8": 60.0}, {"float f32": 90.0}, 45.0, {"masks": 15.0})
    assert estimate.seconds == 240
    assert str(estimate) == "about 4 min: 2 recipes 2 min, 1 comparisons 2 min, racing 45 s, study of the winner 15 s"
    assert set(estimate.tasks) == {"build float", "build int8", "compare float f32", "race", "masks"}


TRIALS = tuple(
    Trial.propose(recipe(name=name), configuration)
    for name in ("best", "good", "dull")
    for configuration in (F32, BF16)
)


def count(trials: Sequence[Trial]) -> Estimate:
    """Estimate 100 s for each candidate, and 10 s for each precision."""
    return Estimate(
        dict.fromkeys({trial.recipe.name for trial in trials}, 100.0),
        dict.fromkeys({trial.comparison for trial in trials}, 10.0),
    )


@pytest.mark.parametrize(("limit_s", "left"), [(1000, 6), (360, 6), (350, 5), (349, 4), (240, 4), (235, 3), (0, 2)])
def test_the_least_promising_trials_are_left_out_first_and_two_always_stay(limit_s: float, left: int) -> None:
    trials, estimate = choose_affordable(TRIALS, count, limit_s)
    assert trials == TRIALS[:left]
    assert estimate == count(trials)


def test_the_time_of_a_trial_that_does_not_fit_is_given_to_later_ones() -> None:
    costs = {"best": 10.0, "good": 10.0, "long": 900.0, "dull": 50.0}
    trials = [Trial.propose(recipe(name=name), F32) for name in costs]

    def cost(chosen: Sequence[Trial]) -> Estimate:
        return Estimate({trial.recipe.name: costs[trial.recipe.name] for trial in chosen})

    assert [trial.recipe.name for trial in choose_affordable(trials, cost, 100)[0]] == ["best", "good", "dull"]


@pytest.mark.parametrize(("source_s", "expected"), [(0.01, 400), (1.0, 58), (100.0, 24)])
def test_a_slow_source_is_compared_on_fewer_frames(tmp_path: Path, source_s: float, expected: int) -> None:
    assert model(tmp_path, source_s).count_frames(QUICK) == expected


@pytest.fixture
def trials(plain: Source) -> tuple[Trial, ...]:
    """Return two recipes in two precisions."""
    whole = find_recipe("float", plain)
    small = replace(whole, name="small", steps=(*whole.steps, Reshape(33, 33)))
    return tuple(Trial.propose(item, how, plain.size) for item in (whole, small) for how in (F32, BF16))


def schedule(source: Source, data: Dataset, folder: Path, trials: Sequence[Trial], *, limit_s: float = 1e6) -> Schedule:
    """Return the schedule of a run in ``folder``."""
    here = workspace(folder)
    return Schedule(
        replace(QUICK, limit_s=limit_s),
        trials,
        (),
        builder=Builder(source, data, here),
        comparison=Comparison(source, data, here),
        times=TimeModel(0.01, here),
    )


def test_a_new_schedule_includes_every_task(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    found = schedule(plain, labelled.pick(3), tmp_path, trials)
    assert (found.trials, found.doubtful, found.count_finished()) == (trials, (), 0)
    assert set(found.estimate.tasks) == {
        "build float",
        "build small",
        "compare float f32",
        "compare float bf16",
        "compare small f32",
        "compare small bf16",
        "compare the source",
        "race",
        "layers",
        "masks",
    }


def test_tasks_finished_by_an_earlier_run_take_no_time(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    data, here = labelled.pick(3), workspace(tmp_path)
    built = replace(trials[0], candidate=Builder(plain, data, here).build(trials[0].recipe))
    Comparison(plain, data, here).measure(built.to_subject(plain))
    found = schedule(plain, data, tmp_path, trials)
    assert found.count_finished() == 1
    ahead = set(found.estimate.tasks)
    assert not ahead & {"build float", "compare float f32", "compare the source"}
    assert ahead >= {"compare float bf16", "build small"}
    assert found.estimate_ahead(trials[0], 0) < found.estimate_ahead(trials[1], 0) < found.estimate_ahead(trials[2], 0)


def test_refused_recipes_count_as_finished_and_take_no_time(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    data, here = labelled.pick(3), workspace(tmp_path)
    key = Builder(plain, data, here).compute_key(trials[2].recipe)
    here.results.put(REFUSALS, {"candidate": key}, "no")
    found = schedule(plain, data, tmp_path, trials)
    assert found.count_finished() == 2
    assert "build small" not in found.estimate.tasks
    with pytest.raises(InputError, match="no"):
        Builder(plain, data, here).find(trials[2].recipe)


def test_dropped_trials_stay_dropped_when_the_same_command_resumes(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    data = labelled.pick(3)
    schedule(plain, data, tmp_path, trials).drop(trials[3], "too late")
    again = schedule(plain, data, tmp_path, trials)
    assert again.trials == trials[:3]
    (dropped,) = again.list_dropped()
    assert (dropped.name, dropped.verdict.broken, dropped.candidate) == (trials[3].name, ("too late",), None)
    assert schedule(plain, data, tmp_path, trials, limit_s=7e6).trials == trials
    assert schedule(plain, data, tmp_path, trials[::-1]).trials == trials[::-1]


def test_confirmation_takes_time_only_if_separate_frames_confirm(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    def find_confirm_s(whole: Dataset | None, data: Dataset) -> float:
        here = workspace(tmp_path)
        comparison = Comparison(plain, data, here, whole)
        found = Schedule(
            QUICK, trials, (), builder=Builder(plain, data, here), comparison=comparison, times=TimeModel(0.5, here)
        )
        assert found.estimate.after_s == sum(found.estimate.studying.values())
        return found.estimate.studying.get("confirm", 0.0)

    assert find_confirm_s(None, labelled) == find_confirm_s(labelled, labelled) == 0
    assert find_confirm_s(labelled, labelled.pick(3)) > find_confirm_s(labelled, labelled.pick(9)) > 0


def test_trials_that_probably_do_not_fit_are_doubtful_but_still_tried(
    plain: Source, labelled: Dataset, tmp_path: Path, trials: tuple[Trial, ...]
) -> None:
    found = schedule(plain, labelled.pick(3), tmp_path, trials, limit_s=1.0)
    assert found.doubtful == trials[2:]
    assert found.trials == trials


def test_steps_estimate_their_time() -> None:
    assert HEAD.estimate_s(100, 0.5) == 1.0
    assert Quantize(frames=64).estimate_s(1000, 0.5) == pytest.approx(8 + 0.8 * 64 * 0.5)
    assert Prune(share=0.3, frames=96).estimate_s(10, 0.5) == pytest.approx(20 + 6 * 10 * 0.5)
    assert Prune(share=0.3, frames=96, tried=2).estimate_s(10, 0.5) == pytest.approx(20 + (6 + 5) * 10 * 0.5)
