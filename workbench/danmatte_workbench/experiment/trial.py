"""A trial: one candidate in one configuration, from the plan to the report."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Measurement
from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.metrics.accuracy import Accuracy, KindLoss
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.source import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(frozen=True)
class LevelAccuracy:
    """The accuracy that a candidate loses when oneDNN is limited to the kernels of an older instruction set level."""

    level: str
    measurement: Measurement
    kinds: tuple[KindLoss, ...] = ()

    @classmethod
    def of(cls, level: str, accuracy: Accuracy) -> "LevelAccuracy":
        """Return the loss that a budget limits, overall and by kind of scene."""
        return cls(level, accuracy.measurements[0], accuracy.kinds)


THROUGHPUT, SPEEDUP = "throughput", "speedup"
UNTRIED = Verdict(("not tried",))
# Why a trial has no verdict: there was no time for it, its recipe can't be applied to the graph, or it failed.
Stop = Literal["not tried", "doesn't apply", "failed"]


@dataclass(frozen=True)
class Confirmation:
    """How a trial's accuracy was confirmed.

    frames: number of confirming frames. attempt: 1 for the first choice; each failed attempt raises the ``confidence``
    of the next. crossed: whether cross-validation was used because there were too few frames. choosing: the accuracy
    on the choosing frames.
    """

    frames: int
    attempt: int
    confidence: float
    crossed: bool
    choosing: Accuracy


@dataclass(frozen=True)
class Trial:
    """A recipe's candidate in one configuration, with its measurements and its verdict.

    It is proposed without candidate and measurements, and gets them during a run; if that fails, the verdict has the
    reason. canvas: (height, width) of the pictures for timing; the input's size, if None. seconds: time to build and
    compare it. finalist: False if it was raced for a few rounds only, because others were faster. levels: accuracy
    under older instruction sets. kinds: loss in each kind of scene. confirmation: if present, the accuracy was measured
    on frames that weren't used to choose. stopped: why it has no verdict on its value; None if it has one. is_slower:
    whether its latency is certainly higher than the source's.
    """

    name: str
    recipe: Recipe
    configuration: Configuration
    canvas: tuple[int, int] | None = None
    candidate: Candidate | None = None
    measurements: tuple[Measurement, ...] = ()
    verdict: Verdict = UNTRIED
    seconds: float = 0.0
    finalist: bool = True
    levels: tuple[LevelAccuracy, ...] = ()
    kinds: tuple[KindLoss, ...] = ()
    confirmation: Confirmation | None = None
    stopped: Stop | None = None
    is_slower: bool = False

    @classmethod
    def propose(cls, recipe: Recipe, configuration: Configuration, canvas: tuple[int, int] | None = None) -> "Trial":
        """Return a new trial, named after its recipe and configuration."""
        return cls(f"{recipe.name} {configuration}", recipe, configuration, canvas)

    @property
    def comparison(self) -> str:
        """Recipe and precision, on which its accuracy depends; trials with the same ones are compared once."""
        return f"{self.recipe.name} {self.configuration.precision}"

    def get(self, metric: str) -> Measurement | None:
        """Return the measurement of that metric; None if there is none."""
        return next((item for item in self.measurements if item.metric == metric), None)

    @property
    def state(self) -> Literal["accepted", "rejected"] | Stop:
        """The outcome: rejected if it broke a limit of the budget, accepted, or why it was stopped."""
        return self.stopped or ("accepted" if self.verdict.accepted else "rejected")

    def stop(self, how: Stop, reason: str) -> "Trial":
        """Return the trial, stopped without a verdict on its value. reason: what was wrong, for the user."""
        return replace(self.reject(reason), stopped=how)

    def reject(self, reason: str) -> "Trial":
        """Return the trial, not accepted for this reason, in addition to earlier ones."""
        earlier = () if self.verdict == UNTRIED else self.verdict.broken
        return replace(self, verdict=Verdict((reason, *earlier)))

    def judge(self, budget: Budget) -> "Trial":
        """Return the trial with the budget's verdict on its measurements, here and under older instruction sets.

        A confirmed trial is judged by the budget's rules for confirmed losses.
        """
        judge, prefix = (budget.confirm, "not confirmed: ") if self.confirmation else (budget.judge, "")
        broken = list(judge(self.measurements, get_losses(self.kinds)).broken)
        for item in self.levels:
            limits = replace(budget, max_latency_ms=None)
            verdict = (limits.confirm if self.confirmation else limits.judge)(
                [item.measurement], get_losses(item.kinds)
            )
            broken += [f"on {item.level}: {reason}" for reason in verdict.broken]
        return replace(self, verdict=Verdict(tuple(f"{prefix}{reason}" for reason in broken)))

    def keeps_accuracy(self, budget: Budget) -> bool:
        """Whether its losses are within the budget, on this CPU and under older instruction sets."""
        older = ((item.measurement, item.kinds) for item in self.levels)
        return budget.accepts_accuracy(self.measurements, get_losses(self.kinds)) and all(
            budget.accepts_accuracy([loss], get_losses(kinds)) for loss, kinds in older
        )

    def add(self, measurements: "Iterable[Measurement]") -> "Trial":
        """Return the trial with these measurements added."""
        return replace(self, measurements=(*self.measurements, *measurements))

    def take(self, accuracy: Accuracy) -> "Trial":
        """Return the trial with this accuracy in place of its previous one."""
        others = tuple(item for item in self.measurements if item.metric not in accuracy.metrics)
        return replace(self, measurements=(*accuracy.measurements, *others), kinds=accuracy.kinds)

    def get_accuracy(self, metrics: "Collection[str]") -> Accuracy:
        """Return its measurements of these metrics, and its losses by kind of scene."""
        return Accuracy(tuple(item for item in self.measurements if item.metric in metrics), self.kinds)

    def require_candidate(self) -> Candidate:
        """Return the candidate; the trial must have been built."""
        assert self.candidate is not None, f"{self.name} was never built"
        return self.candidate

    def to_subject(self, source: Source) -> Subject:
        """Return the subject that runs the candidate in the trial's configuration."""
        subject = Subject.from_artifact(self.name, source, self.require_candidate().artifact, self.configuration)
        return replace(subject, canvas=self.canvas)


def get_losses(kinds: "Iterable[KindLoss]") -> dict[str, Measurement]:
    """Return the losses by kind of scene."""
    return {item.kind: item.loss for item in kinds}
