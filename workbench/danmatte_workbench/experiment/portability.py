"""The winner under every instruction set that it is for, and the next best one where it breaks the budget there."""

from dataclasses import replace

from danmatte_workbench.errors import BudgetError, WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.trial import Trial


def choose_portable(run: ExperimentRun, result: ExperimentResult) -> tuple[ExperimentResult, Trial]:
    """The settled result and its winner. Raises BudgetError where none is left."""
    settled = settle_portable(run, result)
    return settled, judge.choose(settled.trials, settled.objective)


def settle_portable(run: ExperimentRun, result: ExperimentResult) -> ExperimentResult:
    """The result whose best trial is confirmed and keeps the budget under all of the experiment's levels.

    What doesn't is rejected in it, and the next best is confirmed and asked, until one does or none is left.
    """
    while True:
        result = run.confirm(result)
        try:
            best = judge.choose(result.trials, result.objective)
        except BudgetError:
            return result
        checked = _compare_everywhere(run, best)
        trials = tuple(checked if trial.name == best.name else trial for trial in result.trials)
        result = replace(result, trials=trials)
        if checked.verdict.accepted:
            return result


def _compare_everywhere(run: ExperimentRun, trial: Trial) -> Trial:
    """The trial, judged once more by its accuracy under each level; floats are the same under all."""
    if not trial.recipe.is_quantized:
        return trial
    try:
        compared = run.compare_under(trial, run.experiment.levels)
    except WorkbenchError as error:
        return trial.stop("failed", f"couldn't be compared under older instruction sets: {error}")
    return compared if compared.levels == trial.levels else compared.judge(run.experiment.budget)
