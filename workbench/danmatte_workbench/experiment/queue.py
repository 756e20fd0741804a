"""The order in which trials are tried: what can hardly win any more waits until everything else had its turn."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from danmatte_workbench.experiment.trial import Trial

MORE = 1.25  # times the work of another that keeps the budget: no noise and no configuration makes up for that


class TrialQueue:
    """Trials in their order, but for those of more work than one that already keeps the budget: these come last.

    None is left out: where the better one isn't confirmed in the end, what was put off may still win. report: hears
    of each recipe that is put off, once. is_at_last: whether those that were put off have their turn.
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
                self._report(f"{trial.recipe.name}: put off, {best.recipe.name} keeps the budget with less work")
            self._last.append(trial)
        self.is_at_last = True
        yield from self._last

    def note_kept(self, trial: Trial) -> None:
        """Note that the trial keeps the budget's accuracy."""
        if self._best is None or trial.recipe.work < self._best.recipe.work:
            self._best = trial
