"""Choice of the winner."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP, LATENCY, Budget
from danmatte_workbench.errors import BudgetError, InputError
from danmatte_workbench.experiment.trial import SPEEDUP, THROUGHPUT, Trial

BALANCED = "balanced"
OBJECTIVES = (BALANCED, THROUGHPUT, LATENCY)
EQUAL = 0.95  # of the best value: a trial above it counts as equal if the intervals overlap, too


def check_objective(objective: str) -> None:
    """Raise InputError for an unknown objective, before a run that takes hours."""
    if objective not in OBJECTIVES:
        hint = did_you_mean(objective, OBJECTIVES, listed=False)
        raise InputError(f"--objective: expected {', '.join(OBJECTIVES[:-1])} or {LATENCY}, received {objective}{hint}")


def rate(name: str, rounds: Rounds, objective: str, budget: Budget, source: Collection[str] = ()) -> float | None:
    """Return a trial's rating after a few rounds, higher is better; None if it is too slow for the budget.

    source: the names under which the source ran in the same rounds.
    """
    latencies = rounds.latency_ms.get(name, [])
    if latencies and budget.max_latency_ms is not None and float(np.median(latencies)) > budget.max_latency_ms:
        return None
    if objective == LATENCY:
        return -float(np.median(latencies)) if latencies else None
    if name not in rounds.throughput:
        return 0.0
    speed = float(np.median(rounds.throughput[name]))
    own = [float(np.median(rounds.latency_ms[item])) for item in source if rounds.latency_ms.get(item)]
    if objective == BALANCED and own and latencies:
        # A trial with a higher latency than the source can only win if no other can, so its rating is reduced.
        speed *= min(1.0, min(own) / float(np.median(latencies)))
    return speed


def is_slower(trial: Trial, own: Measurement | None) -> bool:
    """Whether the trial's latency is certainly higher than the source's ``own``: the intervals don't overlap."""
    latency = trial.get(LATENCY)
    return latency is not None and own is not None and latency.low > own.high


def choose(trials: Sequence[Trial], objective: str) -> Trial:
    """Return the best accepted finalist, or the best other accepted trial if there is none.

    The best has the highest throughput, or for the objective latency the lowest latency. Among trials that don't differ
    from the best by more than noise, the lowest latency wins, then the first proposed. With the objective balanced, a
    trial with a higher latency than the source wins only if no other is left.

    Raises BudgetError, which names the nearest trial and every rejection, if no trial is accepted.
    """
    check_objective(objective)
    metric = THROUGHPUT if objective == BALANCED else objective
    known = [trial for trial in trials if trial.verdict.accepted and trial.get(metric)]
    # If no finalist is accepted any more, a trial that was raced for a few rounds only is better than no winner.
    if accepted := [trial for trial in known if trial.finalist] or known:
        if objective == BALANCED:
            accepted = [trial for trial in accepted if not trial.is_slower] or accepted
        return _pick(accepted, _compute_merits(accepted, objective), objective)
    lines = [
        f"  {trial.name}: {trial.state}: {'; '.join(trial.verdict.broken) or f'has no {metric}'}" for trial in trials
    ]
    near = find_nearest(trials)
    late = sum(trial.stopped in ("not tried", "failed") for trial in trials)
    found = f"nothing met the budget; the nearest is: {near.name if near else 'none'}"
    if late:
        hint = "for more time, raise --effort or --trial-s"
        found += f"; {late} of {len(trials)} trials were not tried or failed: {hint}"
    raise BudgetError("\n".join([found, *lines]))


def _pick(trials: Sequence[Trial], merits: Mapping[str, Measurement], objective: str) -> Trial:
    """Return the best trial by merit; among equals the one with the lowest latency, then the first."""
    best = max(trials, key=lambda trial: merits[trial.name].value)
    surest = max(merits[trial.name].low for trial in trials)
    # Configurations of one graph differ little. All that aren't certainly worse count as equal, otherwise noise would
    # choose. A trial of another graph also has to be within `EQUAL` of the best value.
    equals = [
        trial
        for trial in trials
        if merits[trial.name].high >= surest
        and (trial.recipe.name == best.recipe.name or merits[trial.name].value >= EQUAL * merits[best.name].value)
    ]
    if objective == LATENCY:
        return next(trial for trial in equals if trial.recipe.name == best.recipe.name)
    latencies = {trial.name: item.value for trial in equals if (item := trial.get(LATENCY))}
    least = min(latencies.values(), default=math.inf)
    prompt = [trial for trial in equals if latencies.get(trial.name, math.inf) <= least / EQUAL]
    return next((trial for trial in prompt if trial.recipe.name == best.recipe.name), prompt[0])


def find_nearest(trials: Sequence[Trial]) -> Trial | None:
    """Return the trial that broke the fewest limits, and of these the one with the smallest loss of accuracy.

    Only trials whose loss was measured count; None if there are none.
    """
    losses = ((trial, trial.get(IOU_DROP) or trial.get(DISAGREEMENT)) for trial in trials)
    measured = [(len(trial.verdict.broken), lost.value, trial) for trial, lost in losses if lost]
    return min(measured, key=lambda item: item[:2])[2] if measured else None


def _compute_merits(trials: Sequence[Trial], objective: str) -> dict[str, Measurement]:
    """Return each trial's merit by name, higher is better."""
    # Throughput is compared as speedup, if all trials have one: noise slows a trial and its baseline alike.
    fastest = objective in (THROUGHPUT, BALANCED)
    relative = fastest and all(trial.get(SPEEDUP) for trial in trials)
    metric = SPEEDUP if relative else THROUGHPUT if fastest else objective
    found = {trial.name: trial.get(metric) for trial in trials}
    if fastest:
        return {name: item for name, item in found.items() if item}
    return {
        name: structs.replace(item, value=-item.value, low=-item.high, high=-item.low)
        for name, item in found.items()
        if item
    }
