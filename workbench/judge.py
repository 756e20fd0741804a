"""Who wins."""

from collections.abc import Sequence

from workbench.budget import IOU_DROP, LATENCY
from workbench.errors import BudgetError, InputError
from workbench.experiment import THROUGHPUT, Trial

OBJECTIVES = {THROUGHPUT: 1.0, LATENCY: -1.0}


def check(objective: str) -> None:
    """Raises InputError for an unknown objective, before hours are spent on it."""
    if objective not in OBJECTIVES:
        raise InputError(f"--objective: expected {' or '.join(OBJECTIVES)}, received {objective}")


def choose(trials: Sequence[Trial], objective: str) -> Trial:
    """The best accepted trial. Raises BudgetError that names the nearest one and every rejection."""
    check(objective)
    accepted = [trial for trial in trials if trial.verdict.accepted and trial.measured(objective)]
    if accepted:
        return max(accepted, key=lambda trial: OBJECTIVES[objective] * _value(trial, objective))
    lines = [f"  {trial.name}: {'; '.join(trial.verdict.broken) or f'has no {objective}'}" for trial in trials]
    measured = [trial for trial in trials if trial.measured(IOU_DROP)]
    nearest = min(measured, key=lambda trial: _value(trial, IOU_DROP)).name if measured else "none"
    raise BudgetError("\n".join([f"nothing met the budget; the nearest is: {nearest}", *lines]))


def _value(trial: Trial, metric: str) -> float:
    measured = trial.measured(metric)
    assert measured is not None, f"{trial.name} has no {metric}"
    return measured.value
