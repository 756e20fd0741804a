"""Choice of a winner that keeps the budget under all instruction sets that it has to suit."""

from dataclasses import replace

from danmatte_workbench.errors import BudgetError, WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.trial import Trial


def choose_portable(run: ExperimentRun, result: ExperimentResult) -> tuple[ExperimentResult, Trial]:
    """Return the settled result and its winner. Raises BudgetError when no trial is left."""
    settled = settle_portable(run, result)
    return settled, judge.choose(settled.trials, settled.objective)


def settle_portable(run: ExperimentRun, result: ExperimentResult) -> ExperimentResult:
    """Return the result with a best trial that is confirmed and keeps the budget under all of the experiment's levels.

    A trial that doesn't is marked as rejected in the result, and the next best one is checked, until one passes or none
    is left.
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
    """Return the trial, judged again by its accuracy under each level.

    Unchanged if it isn't quantized, because floats give the same result under all levels.
    """
    if not trial.recipe.is_quantized:
        return trial
    try:
        compared = run.compare_under(trial, run.experiment.levels)
    except WorkbenchError as error:
        return trial.stop("failed", f"couldn't be compared under older instruction sets: {error}")
    return compared if compared.levels == trial.levels else compared.judge(run.experiment.budget)
