"""Trials with hardly a chance to win come last, and none is omitted."""

from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.queue import TrialQueue
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.steps import Prune, Quantize, Shrink, Stride
from tests.workbench.facts import CUT, HEAD, recipe

FLOAT = recipe(name="float", exact=True)
WHOLE = recipe(name="int8", steps=(CUT, HEAD, Quantize()))
PRUNED = recipe(name="int8-pruned", steps=(CUT, HEAD, Prune(share=0.3), Quantize()))
COARSE = recipe(name="int8-coarse", steps=(CUT, Stride(), HEAD, Quantize()))
TINY = recipe(name="int8-tiny", steps=(CUT, Stride(), HEAD, Shrink(share=0.6), Quantize()))


def propose(*recipes: object) -> list[Trial]:
    return [Trial.propose(item, configure()) for item in recipes]  # type: ignore[arg-type]


def test_each_step_that_saves_work_lowers_the_work_of_a_recipe() -> None:
    works = [item.work for item in (FLOAT, WHOLE, PRUNED, COARSE, TINY)]
    assert works[0] == 1
    assert works == sorted(works, reverse=True)
    assert len(set(works)) == len(works)


def test_accuracy_control_leaves_more_work_than_8_bits_everywhere() -> None:
    controlled = recipe(steps=(CUT, HEAD, Quantize(max_drop=0.3)))
    assert WHOLE.work < controlled.work < FLOAT.work


def test_trials_keep_their_order_until_one_keeps_the_budget() -> None:
    trials = propose(FLOAT, COARSE, WHOLE, TINY)
    assert list(TrialQueue(trials)) == trials


def test_trials_with_more_work_than_one_that_kept_the_budget_are_postponed() -> None:
    trials = propose(FLOAT, COARSE, WHOLE, PRUNED, TINY)
    lines: list[str] = []
    queue = TrialQueue(trials, lines.append)
    tried = []
    for trial in queue:
        tried.append(trial.recipe.name)
        if trial.recipe is COARSE:
            queue.note_kept(trial)
    assert tried == ["float", "int8-coarse", "int8-tiny", "int8", "int8-pruned"]
    assert lines[0] == "int8: postponed: int8-coarse keeps the budget with less work"


def test_other_configurations_of_a_recipe_that_kept_the_budget_are_not_postponed() -> None:
    both = [Trial.propose(COARSE, configure(precision=precision)) for precision in ("f32", "bf16")]
    queue = TrialQueue([*both, *propose(WHOLE)])
    tried = []
    for trial in queue:
        tried.append(trial.name)
        queue.note_kept(trial)
    assert tried == [*(trial.name for trial in both), "int8 latency f32"]


def test_a_postponed_recipe_is_reported_once_for_all_its_configurations() -> None:
    lines: list[str] = []
    slow = [Trial.propose(WHOLE, configure(hint=hint)) for hint in ("latency", "throughput")]
    queue = TrialQueue([*propose(TINY), *slow], lines.append)
    for trial in queue:
        queue.note_kept(trial)
    assert len(lines) == 1


def test_a_later_trial_with_more_work_does_not_raise_the_threshold() -> None:
    queue = TrialQueue(propose(WHOLE, TINY, FLOAT))
    kept = next(iter(propose(TINY)))
    queue.note_kept(kept)
    queue.note_kept(propose(FLOAT)[0])
    assert [trial.recipe.name for trial in queue] == ["int8-tiny", "int8", "float"]
