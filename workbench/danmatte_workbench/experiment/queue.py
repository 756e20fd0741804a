"""A queue of trials that postpones those that have hardly a chance to win."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from danmatte_workbench.experiment.trial import Trial

MORE = 1.25  # times the work of a trial that keeps the budget: too much to be faster by noise or configuration


class TrialQueue:
    """Yields trials in their order, except that those with more work than one that keeps the budget come last.

    No trial is omitted, because a postponed one may still win if the better one isn't confirmed. report: called once
    with a message for each recipe that is postponed. is_at_last: whether the postponed trials are being yielded.
    """

    def __init__(self, trials: Sequence[Trial], report: Callable[[str], None] = lambda _: None) -> None:
        self._ahead = deque(trials)
        self._last: deque[Trial] = deque()
        self._report = report
        self._best: Trial | None = None
        self.is_at_last = False

    def __iter__(self) -> Iterator[Trial]:
        while self._ahead:
            trial, best = self._ahead.popleft(), self._best
            if best is None or trial.recipe.work <= MORE * best.recipe.work:
                yield trial
                continue
            if trial.recipe.name not in {item.recipe.name for item in self._last}:
                self._report(f"{trial.recipe.name}: postponed: {best.recipe.name} keeps the budget with less work")
            self._last.append(trial)
        self.is_at_last = True
        yield from self._last

    def note_kept(self, trial: Trial) -> None:
        """Record that the trial's accuracy is within the budget."""
        if self._best is None or trial.recipe.work < self._best.recipe.work:
            self._best = trial
