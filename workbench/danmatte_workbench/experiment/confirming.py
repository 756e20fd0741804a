"""Choosing a winner on some frames and confirming it on others, so that reported figures have no selection bias."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from danmatte_workbench.budget import INTERVAL_FACTOR, Budget
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import BudgetError, WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.trial import Confirmation, LevelAccuracy, Trial
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.metrics.base import CONFIDENCE

EVERY = 3  # every third scene chooses, the others confirm, because the reported figure needs the narrower interval
MIN_FRAMES = 90  # with fewer, cross-validation uses all frames for both
FOLDS = 10
CROSSED = 0.5  # factor of the allowed miss rate with folds: these share frames, so their results vary too little


class Measure(Protocol):
    """A function that measures the loss of trials, each on its own frames, over all these frames together."""

    def __call__(
        self, picks: Sequence[tuple[Trial, Dataset]], confidence: float, level: str = "", *, anew: bool = False
    ) -> Accuracy:
        """Measure the accuracy. Raises WorkbenchError if the frames don't suffice.

        level: instruction set level; this CPU's own, if empty. anew: whether the interval has to cover the loss on as
        many new frames, instead of the mean loss.
        """


@dataclass(frozen=True)
class Division:
    """Frames that choose the winner, and frames that confirm it.

    With too few frames, both are all of them, divided into ``folds`` for cross-validation: the choice is repeated
    without each fold, and the loss of that choice on the fold counts.
    """

    choosing: Dataset
    confirming: Dataset
    folds: tuple[Dataset, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> "Division":
        """Divide the frames, deterministically, by kind of scene; frames of one scene stay together."""
        if len(data) >= MIN_FRAMES:
            return cls(*data.divide(EVERY))
        folds, rest = [], data
        for left in range(min(FOLDS, len(data)), 0, -1):
            fold, rest = rest.divide(left)
            folds.append(fold)
        return cls(data, data, tuple(fold for fold in folds if len(fold)))


@dataclass(frozen=True)
class Referee:
    """Chooses among trials by their loss on the choosing frames, and confirms the choice on the confirming frames.

    Trials whose losses vary so much that a confirmation is unlikely are chosen last. report: called with the result of
    each confirmation.
    """

    division: Division
    budget: Budget
    objective: str
    measure: Measure
    report: Callable[[str], None] = lambda _: None

    def confirm(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials with the best one confirmed.

        A trial that isn't confirmed is rejected, and the next best is tried. If none can be confirmed, no returned
        trial is accepted.

        Each attempt is another chance to be confirmed by luck. So the interval of the n-th attempt has a miss rate of
        5 / n(n + 1) per cent, and all attempts together, whatever their number, have at most 5 per cent.
        """
        attempt = max((trial.confirmation.attempt for trial in trials if trial.confirmation), default=0)
        frames = self.division.confirming
        while True:
            best = self._choose_next(trials)
            if best is None:
                return list(trials)
            if best.confirmation:
                few = f"not confirmed: {len(frames)} frames are too few, because its losses vary too much"
                kept = ((trial, self._has_chance(trial) or not trial.verdict.accepted) for trial in trials)
                return [trial if stays else trial.reject(few) for trial, stays in kept]
            attempt += 1
            missing = (1 - CONFIDENCE) / (attempt * (attempt + 1)) * (CROSSED if self.division.folds else 1)
            # Trials of the same graph in other configurations give the same masks.
            same = [item for item in trials if item.comparison == best.comparison and item.verdict.accepted]
            try:
                picks = [(self._choose_without(fold, best, trials), fold) for fold in self.division.folds]
                picks = picks or [(best, frames)]
                accuracy = self.measure(picks, 1 - missing, anew=True)
                levels = tuple(
                    LevelAccuracy.of(item.level, self.measure(picks, 1 - missing, item.level, anew=True))
                    for item in best.levels
                )
            except WorkbenchError as error:
                settled = {item.name: item.stop("failed", f"can't be confirmed: {error}") for item in same}
            else:
                chosen = best.get_accuracy(accuracy.metrics)
                confirmation = Confirmation(len(frames), attempt, 1 - missing, bool(self.division.folds), chosen)
                found = [replace(item.take(accuracy), levels=levels, confirmation=confirmation) for item in same]
                settled = {item.name: item.judge(self.budget) for item in found}
                state = "confirmed" if settled[best.name].verdict.accepted else "not confirmed"
                self.report(f"{best.name}: {state}, loses {accuracy.measurements[0]} on {len(frames)} frames")
            trials = [settled.get(item.name, item) for item in trials]

    def _choose_next(self, trials: Sequence[Trial]) -> Trial | None:
        """Return the best of the trials with a chance of confirmation, else of all; None if none is accepted."""
        for some in ([trial for trial in trials if self._has_chance(trial)], trials):
            try:
                return judge.choose(some, self.objective)
            except BudgetError:
                continue
        return None

    def _has_chance(self, trial: Trial) -> bool:
        """Whether its interval would be within the limit if it lost as much on the confirming frames as before.

        An attempt that can't succeed would only widen the intervals of all later attempts.
        """
        metric = self.budget.accuracy
        loss = trial.get(metric)
        if trial.confirmation or self.division.folds or loss is None:
            return True
        # The interval gets narrower with more frames. It gets wider by sqrt(2), since it has to cover new frames.
        scale = math.sqrt(2 * len(self.division.choosing) / len(self.division.confirming))
        return loss.value + scale * (loss.high - loss.value) <= INTERVAL_FACTOR * self.budget.limits[metric]

    def _choose_without(self, fold: Dataset, best: Trial, trials: Sequence[Trial]) -> Trial:
        """Return the trial that wins without the fold's frames; ``best`` if none does."""
        rest = self.division.choosing.keep(set(self.division.choosing.names) - set(fold.names))
        judged, known = [], dict[str, Accuracy]()  # trials of the same graph lose the same
        for trial in trials:
            if trial.verdict.accepted and not trial.confirmation:
                try:
                    if trial.comparison not in known:
                        known[trial.comparison] = self.measure([(trial, rest)], CONFIDENCE)
                except WorkbenchError:
                    continue
                judged.append(trial.take(known[trial.comparison]).judge(self.budget))
        try:
            return judge.choose(judged, self.objective)
        except BudgetError:
            return best


def describe_doubt(trial: Trial, budget: Budget, frames: Dataset) -> str:
    """Return a warning if even the source's own graph in float32 exceeds the limit, or if the frames are too few.

    Returns an empty string if there is nothing to warn of. Raises BudgetError if its whole interval is above the limit,
    because other trials lose more and would only take time.
    """
    if not trial.recipe.exact or trial.configuration.precision != "f32" or not trial.canvas:
        return ""
    loss, limit = trial.get(budget.accuracy), budget.limits[budget.accuracy]
    if loss is None:
        return ""
    told = f"even in float32, uncompressed, this graph differs from its source by {loss}, the limit is {limit:g}"
    highest = INTERVAL_FACTOR * limit
    if loss.low > limit:
        advice = "" if frames.labelled else "give data with masks, where only lower accuracy counts, or "
        raise BudgetError(f"{told}: no candidate can meet it; {advice}set a limit of {2 * loss.high:.2g} or more")
    if loss.value > limit:
        return f"{told}: hardly any candidate will meet it"
    return f"{told}: {len(frames)} frames are too few to confirm a winner" if loss.high > highest else ""
