"""Which frames choose a winner, and which confirm it: the figures that are told come from frames that didn't choose."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from danmatte_workbench.budget import REACH, Budget
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import BudgetError, WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.trial import Confirmation, LevelAccuracy, Trial
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.metrics.base import CONFIDENCE

EVERY = 3  # one scene in so many chooses, the others confirm: what is told needs the narrower interval
FEWEST = 90  # frames that can be divided; fewer choose and confirm in turn
FOLDS = 10
CROSSED = 0.5  # of the share of intervals that may miss: folds that share frames look more alike than they are


class Measure(Protocol):
    """What trials lose, each on some frames, over all these frames together."""

    def __call__(
        self, picks: Sequence[tuple[Trial, Dataset]], confidence: float, level: str = "", *, anew: bool = False
    ) -> Accuracy:
        """Raises WorkbenchError where the frames can't tell.

        level: of instruction sets; this CPU's own, if empty. anew: whether the interval is to hold what as many other
        frames lose.
        """


@dataclass(frozen=True)
class Division:
    """Frames that choose, and frames that confirm.

    Where there are too few, both are all of them, in ``folds``: the choice is made again without each fold, and what
    that choice loses on the fold counts.
    """

    choosing: Dataset
    confirming: Dataset
    folds: tuple[Dataset, ...] = ()

    @classmethod
    def of(cls, data: Dataset) -> "Division":
        """The division of these frames: the same ones each time, of each kind of scene and of each scene alike."""
        if len(data) >= FEWEST:
            return cls(*data.divide(EVERY))
        folds, rest = [], data
        for left in range(min(FOLDS, len(data)), 0, -1):
            fold, rest = rest.divide(left)
            folds.append(fold)
        return cls(data, data, tuple(fold for fold in folds if len(fold)))


@dataclass(frozen=True)
class Referee:
    """Chooses among trials by what the choosing frames say, and confirms the choice on the others.

    Those whose losses vary so much that they could hardly be confirmed come after all others.

    report: hears of each confirmation.
    """

    division: Division
    budget: Budget
    objective: str
    measure: Measure
    report: Callable[[str], None] = lambda _: None

    def confirm(self, trials: Sequence[Trial]) -> list[Trial]:
        """The trials, the best confirmed; where it falls, it is rejected and the next best is asked, and so on.

        None of them is accepted any more where all that could win have fallen.

        Each further attempt is another chance to be confirmed by luck, so the interval of the n-th one misses in
        5 / n(n + 1) per cent of cases: all of them together, however many there are, in 5.
        """
        attempt = max((trial.confirmation.attempt for trial in trials if trial.confirmation), default=0)
        frames = self.division.confirming
        while True:
            best = self._choose_next(trials)
            if best is None:
                return list(trials)
            if best.confirmation:
                few = f"not confirmed: {len(frames)} frames are too few to confirm it by, its losses vary too much"
                kept = ((trial, self._has_chance(trial) or not trial.verdict.accepted) for trial in trials)
                return [trial if stays else trial.reject(few) for trial, stays in kept]
            attempt += 1
            missing = (1 - CONFIDENCE) / (attempt * (attempt + 1)) * (CROSSED if self.division.folds else 1)
            # What runs the same graph otherwise gives the same masks.
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
        """The best of those that may well be confirmed, or else of all; None where none is accepted any more."""
        for some in ([trial for trial in trials if self._has_chance(trial)], trials):
            try:
                return judge.choose(some, self.objective)
            except BudgetError:
                continue
        return None

    def _has_chance(self, trial: Trial) -> bool:
        """Whether its interval will end early enough, if it loses on the frames that confirm what it lost before.

        An attempt that can't succeed would only widen the intervals of all that follow.
        """
        metric = self.budget.accuracy
        loss = trial.get(metric)
        if trial.confirmation or self.division.folds or loss is None:
            return True
        # As many frames more make it narrower; that it is to hold what as many others lose, wider.
        scale = math.sqrt(2 * len(self.division.choosing) / len(self.division.confirming))
        return loss.value + scale * (loss.high - loss.value) <= REACH * self.budget.limits[metric]

    def _choose_without(self, fold: Dataset, best: Trial, trials: Sequence[Trial]) -> Trial:
        """What would have won if the fold hadn't been there; ``best`` where nothing would have."""
        rest = self.division.choosing.keep(set(self.division.choosing.names) - set(fold.names))
        judged, known = [], dict[str, Accuracy]()  # what runs the same graph otherwise loses the same
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
    """Why hardly anything will keep the budget, where even the source's own graph in floats doesn't; empty otherwise.

    Raises BudgetError where it surely doesn't, before hours are spent on what loses more.
    """
    if not trial.recipe.exact or trial.configuration.precision != "f32" or not trial.canvas:
        return ""
    loss, limit = trial.get(budget.accuracy), budget.limits[budget.accuracy]
    if loss is None:
        return ""
    told = f"even in float32, uncompressed, this graph differs from its source by {loss}, the limit is {limit:g}"
    if loss.low > limit:
        advice = "" if frames.labelled else " data with masks, which counts only what is worse, or"
        raise BudgetError(f"{told}: no candidate can keep that; give{advice} a limit of {2 * loss.high:.2g} or more")
    if loss.value > limit:
        return f"{told}: hardly any candidate will keep that"
    return f"{told}: {len(frames)} frames are too few to confirm a winner by" if loss.high > REACH * limit else ""
