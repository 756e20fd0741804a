"""Who wins."""

from collections.abc import Sequence

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP, LATENCY, Budget
from danmatte_workbench.errors import BudgetError, InputError
from danmatte_workbench.experiment.trial import SPEEDUP, THROUGHPUT, Trial

OBJECTIVES = (THROUGHPUT, LATENCY)


def check_objective(objective: str) -> None:
    """Raises InputError for an unknown objective, before hours are spent on it."""
    if objective not in OBJECTIVES:
        raise InputError(f"--objective: expected {' or '.join(OBJECTIVES)}, received {objective}")


def rate(name: str, rounds: Rounds, objective: str, budget: Budget) -> float | None:
    """How good a trial looks after a few rounds, higher is better; None where it is too slow for the budget."""
    latencies = rounds.latency_ms.get(name, [])
    if latencies and budget.max_latency_ms is not None and float(np.median(latencies)) > budget.max_latency_ms:
        return None
    if objective == LATENCY:
        return -float(np.median(latencies)) if latencies else None
    return float(np.median(rounds.throughput[name])) if name in rounds.throughput else 0.0


def choose(trials: Sequence[Trial], objective: str) -> Trial:
    """The best accepted finalist; of those that only run its graph otherwise, the first that isn't surely worse.

    Raises BudgetError that names the nearest one and every rejection.
    """
    check_objective(objective)
    accepted = [trial for trial in trials if trial.verdict.accepted and trial.finalist and trial.get(objective)]
    if accepted:
        merits = _compute_merits(accepted, objective)
        best = max(accepted, key=lambda trial: merits[trial.name].value)
        # Precisions and hints of one graph differ by little: the first that was proposed stays unless another is surely
        # better, or else noise would choose.
        same = (trial for trial in accepted if trial.recipe.name == best.recipe.name)
        return next(trial for trial in same if merits[trial.name].high >= merits[best.name].low)
    lines = [f"  {trial.name}: {'; '.join(trial.verdict.broken) or f'has no {objective}'}" for trial in trials]
    near = find_nearest(trials)
    raise BudgetError("\n".join([f"nothing met the budget; the nearest is: {near.name if near else 'none'}", *lines]))


def find_nearest(trials: Sequence[Trial]) -> Trial | None:
    """The one that lost least of the source's accuracy among those that broke fewest limits; None if none was measured.

    What was built and compared comes before what wasn't.
    """
    losses = ((trial, trial.get(IOU_DROP) or trial.get(DISAGREEMENT)) for trial in trials)
    measured = [(len(trial.verdict.broken), lost.value, trial) for trial, lost in losses if lost]
    return min(measured, key=lambda item: item[:2])[2] if measured else None


def _compute_merits(trials: Sequence[Trial], objective: str) -> dict[str, Measurement]:
    """By name, higher is better."""
    # Throughput counts by its ratio to the baseline's, where all have one: a noisy moment slows both.
    relative = objective == THROUGHPUT and all(trial.get(SPEEDUP) for trial in trials)
    found = {trial.name: trial.get(SPEEDUP if relative else objective) for trial in trials}
    if objective == THROUGHPUT:
        return {name: item for name, item in found.items() if item}
    return {
        name: structs.replace(item, value=-item.value, low=-item.high, high=-item.low)
        for name, item in found.items()
        if item
    }
