"""Who wins."""

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
EQUAL = 0.95  # of the best one's frames a second: what has more is as good, where intervals don't tell them apart


def check_objective(objective: str) -> None:
    """Raises InputError for an unknown objective, before hours are spent on it."""
    if objective not in OBJECTIVES:
        hint = did_you_mean(objective, OBJECTIVES, listed=False)
        raise InputError(f"--objective: expected {', '.join(OBJECTIVES[:-1])} or {LATENCY}, received {objective}{hint}")


def rate(name: str, rounds: Rounds, objective: str, budget: Budget, source: Collection[str] = ()) -> float | None:
    """How good a trial looks after a few rounds, higher is better; None where it is too slow for the budget.

    source: the names under which the source ran beside it.
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
        # What keeps a frame longer than the source does can't win while anything else can.
        speed *= min(1.0, min(own) / float(np.median(latencies)))
    return speed


def is_slower(trial: Trial, own: Measurement | None) -> bool:
    """Whether a frame surely takes longer than the source's ``own`` latency."""
    latency = trial.get(LATENCY)
    return latency is not None and own is not None and latency.low > own.high


def choose(trials: Sequence[Trial], objective: str) -> Trial:
    """The best accepted finalist, or the best of the others where none is: the most frames a second, or the least
    latency.

    Of those that noise doesn't tell from the best one, the least latency wins, and then what was proposed first.
    Balanced, what is slower than the source for a single frame wins only where nothing else is left.

    Raises BudgetError that names the nearest one and every rejection.
    """
    check_objective(objective)
    metric = THROUGHPUT if objective == BALANCED else objective
    known = [trial for trial in trials if trial.verdict.accepted and trial.get(metric)]
    # Where all that raced to the end have fallen since, the few rounds of the others are better than no winner.
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
        hint = "more time is a higher --effort, or more of --trial-s"
        found += f"; {late} of {len(trials)} trials had no time or failed: {hint}"
    raise BudgetError("\n".join([found, *lines]))


def _pick(trials: Sequence[Trial], merits: Mapping[str, Measurement], objective: str) -> Trial:
    """The best of these by their merits; among equals the one of the least latency, then the first."""
    best = max(trials, key=lambda trial: merits[trial.name].value)
    surest = max(merits[trial.name].low for trial in trials)
    # Precisions and hints of one graph differ by little: of those, all that aren't surely worse are equals, or else
    # noise would choose. Another graph has to come close as well.
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
    """The one that lost least of the source's accuracy among those that broke fewest limits; None if none was measured.

    What was built and compared comes before what wasn't.
    """
    losses = ((trial, trial.get(IOU_DROP) or trial.get(DISAGREEMENT)) for trial in trials)
    measured = [(len(trial.verdict.broken), lost.value, trial) for trial, lost in losses if lost]
    return min(measured, key=lambda item: item[:2])[2] if measured else None


def _compute_merits(trials: Sequence[Trial], objective: str) -> dict[str, Measurement]:
    """By name, higher is better."""
    # Throughput counts by its ratio to the baseline's, where all have one: a noisy moment slows both.
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
