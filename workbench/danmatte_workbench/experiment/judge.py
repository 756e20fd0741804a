"""Who wins."""

from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.interleaved import Rounds
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP, LATENCY, Budget
from danmatte_workbench.errors import BudgetError, InputError
from danmatte_workbench.experiment.findings import SPEEDUP, THROUGHPUT, Trial

OBJECTIVES = (THROUGHPUT, LATENCY)


def check(objective: str) -> None:
    """Raises InputError for an unknown objective, before hours are spent on it."""
    if objective not in OBJECTIVES:
        raise InputError(f"--objective: expected {' or '.join(OBJECTIVES)}, received {objective}")


def promise(name: str, rounds: Rounds, objective: str, budget: Budget) -> float | None:
    """How good a contender looks after a few rounds, higher is better; None where it is too slow for the budget."""
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
    check(objective)
    accepted = [trial for trial in trials if trial.verdict.accepted and trial.finalist and trial.measured(objective)]
    if accepted:
        merits = _merits(accepted, objective)
        best = max(accepted, key=lambda trial: merits[trial.name].value)
        same = (trial for trial in accepted if trial.recipe == best.recipe)
        return next(trial for trial in same if merits[trial.name].high >= merits[best.name].low)
    lines = [f"  {trial.name}: {'; '.join(trial.verdict.broken) or f'has no {objective}'}" for trial in trials]
    near = nearest(trials)
    raise BudgetError("\n".join([f"nothing met the budget; the nearest is: {near.name if near else 'none'}", *lines]))


def nearest(trials: Sequence[Trial]) -> Trial | None:
    """The one that lost least of the source's accuracy among those that broke fewest limits; None if none was measured.

    What was cooked and compared comes before what wasn't.
    """
    measured = [(trial, lost) for trial in trials if (lost := _lost(trial)) is not None]
    return min(measured, key=lambda pair: (len(pair[0].verdict.broken), pair[1]))[0] if measured else None


def _lost(trial: Trial) -> float | None:
    found = trial.measured(IOU_DROP) or trial.measured(DISAGREEMENT)
    return found.value if found else None


def _merits(trials: Sequence[Trial], objective: str) -> dict[str, Measurement]:
    """By name, higher is better. Throughput by its ratio to the baseline's, where all have one."""
    relative = objective == THROUGHPUT and all(trial.measured(SPEEDUP) for trial in trials)
    found = {trial.name: trial.measured(SPEEDUP if relative else objective) for trial in trials}
    if objective == THROUGHPUT:
        return {name: item for name, item in found.items() if item}
    return {
        name: replace(item, value=-item.value, low=-item.high, high=-item.low) for name, item in found.items() if item
    }
