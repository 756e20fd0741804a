"""What is tried: one noun from the plan to the report."""

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
    """What a candidate lost of the source's accuracy where oneDNN shows only the kernels of an older level."""

    level: str
    measurement: Measurement
    kinds: tuple[KindLoss, ...] = ()

    @classmethod
    def of(cls, level: str, accuracy: Accuracy) -> "LevelAccuracy":
        """The metric that a budget limits, on the whole and in each kind of scene."""
        return cls(level, accuracy.measurements[0], accuracy.kinds)


THROUGHPUT, SPEEDUP = "throughput", "speedup"
UNTRIED = Verdict(("not tried",))
# Why a trial has no verdict: there was no time for it, its recipe can't be applied to such a graph, or it broke off.
Stop = Literal["not tried", "doesn't apply", "failed"]


@dataclass(frozen=True)
class Confirmation:
    """How a trial's accuracy was confirmed, on so many frames; ``choosing`` is what it was chosen by.

    attempt: the first choice's is 1; each that fell makes the next one's ``confidence`` higher. crossed: the frames
    chose, too, each without those that it was then told by.
    """

    frames: int
    attempt: int
    confidence: float
    crossed: bool
    choosing: Accuracy


@dataclass(frozen=True)
class Trial:
    """A recipe's candidate in one configuration, what was measured of it, and the verdict.

    It is proposed without candidate and measurements, and gets them as a run goes on; where that fails, the verdict
    says why. kinds: losses in each kind of scene. levels: its accuracy under older instruction sets. confirmation:
    where there is one, the accuracy is that on frames which had no part in the choice. canvas: (height, width) of the
    pictures that the candidate is given where it is timed; its input's, if None. seconds: what building and comparing
    it took. finalist: false for one whose speed comes from a few rounds, enough to see that another is faster. stopped:
    why there is no verdict on what it is worth, where there is none. is_slower: whether a frame surely takes longer
    than in the source.
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
        """The trial that is named after its recipe, hint and precision."""
        return cls(f"{recipe.name} {configuration}", recipe, configuration, canvas)

    @property
    def comparison(self) -> str:
        """What its accuracy depends on; trials that agree in it are compared once."""
        return f"{self.recipe.name} {self.configuration.precision}"

    def get(self, metric: str) -> Measurement | None:
        """The measurement of that metric, if there is one."""
        return next((item for item in self.measurements if item.metric == metric), None)

    @property
    def state(self) -> Literal["accepted", "rejected"] | Stop:
        """What became of it, in a word: only what broke a limit of the budget is rejected."""
        return self.stopped or ("accepted" if self.verdict.accepted else "rejected")

    def stop(self, how: Stop, reason: str) -> "Trial":
        """The trial without a verdict on what it is worth, for a reason that has to do with it or with the time."""
        return replace(self.reject(reason), stopped=how)

    def reject(self, reason: str) -> "Trial":
        """The trial, not accepted for a reason beside those it may have."""
        earlier = () if self.verdict == UNTRIED else self.verdict.broken
        return replace(self, verdict=Verdict((reason, *earlier)))

    def judge(self, budget: Budget) -> "Trial":
        """The trial with the budget's verdict on what was measured of it, here and under older instruction sets.

        Where it was confirmed, that is the verdict on what was confirmed.
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
        """Whether its losses are within the budget, here and under older instruction sets."""
        older = ((item.measurement, item.kinds) for item in self.levels)
        return budget.accepts_accuracy(self.measurements, get_losses(self.kinds)) and all(
            budget.accepts_accuracy([loss], get_losses(kinds)) for loss, kinds in older
        )

    def add(self, measurements: "Iterable[Measurement]") -> "Trial":
        """The trial with measurements beside those it has."""
        return replace(self, measurements=(*self.measurements, *measurements))

    def take(self, accuracy: Accuracy) -> "Trial":
        """The trial with this accuracy instead of what it had."""
        others = tuple(item for item in self.measurements if item.metric not in accuracy.metrics)
        return replace(self, measurements=(*accuracy.measurements, *others), kinds=accuracy.kinds)

    def get_accuracy(self, metrics: "Collection[str]") -> Accuracy:
        """Its measurements of these metrics, and its losses by kind."""
        return Accuracy(tuple(item for item in self.measurements if item.metric in metrics), self.kinds)

    def require_candidate(self) -> Candidate:
        """The candidate of a trial that was built."""
        assert self.candidate is not None, f"{self.name} was never built"
        return self.candidate

    def to_subject(self, source: Source) -> Subject:
        """The candidate as it is run."""
        subject = Subject.from_artifact(self.name, source, self.require_candidate().artifact, self.configuration)
        return replace(subject, canvas=self.canvas)


def get_losses(kinds: "Iterable[KindLoss]") -> dict[str, Measurement]:
    """The losses by kind of scene."""
    return {item.kind: item.loss for item in kinds}
