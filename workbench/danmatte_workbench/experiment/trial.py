"""What is tried: one noun from the plan to the report."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Measurement
from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class LevelAccuracy:
    """What a candidate lost of the source's accuracy where oneDNN shows only the kernels of an older level."""

    level: str
    measurement: Measurement


THROUGHPUT, SPEEDUP = "throughput", "speedup"
UNTRIED = Verdict(("not tried",))


@dataclass(frozen=True)
class Trial:
    """A recipe's candidate in one configuration, what was measured of it, and the verdict.

    It is proposed without candidate and measurements, and gets them as a run goes on; where that fails, the verdict
    says why. canvas: (height, width) of the pictures that the candidate is given where it is timed; its input's, if
    None. seconds: what building and comparing it took. finalist: false for one whose speed comes from a few rounds,
    enough to see that another is faster. levels: its accuracy under older instruction sets.
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

    def reject(self, reason: str) -> "Trial":
        """The trial, not accepted for a reason beside those it may have."""
        earlier = () if self.verdict == UNTRIED else self.verdict.broken
        return replace(self, verdict=Verdict((reason, *earlier)))

    def judge(self, budget: Budget) -> "Trial":
        """The trial with the budget's verdict on what was measured of it, here and under older instruction sets."""
        broken = budget.judge(self.measurements).broken
        older = ((item.level, budget.judge_accuracy([item.measurement])) for item in self.levels)
        return replace(self, verdict=Verdict((*broken, *(f"on {level}: {text}" for level, text in older if text))))

    def keeps_accuracy(self, budget: Budget) -> bool:
        """Whether its accuracy is within the budget, here and under older instruction sets."""
        figures = (self.measurements, *([item.measurement] for item in self.levels))
        return all(budget.accepts_accuracy(items) for items in figures)

    def add(self, measurements: "Iterable[Measurement]") -> "Trial":
        """The trial with measurements beside those it has."""
        return replace(self, measurements=(*self.measurements, *measurements))

    def require_candidate(self) -> Candidate:
        """The candidate of a trial that was built."""
        assert self.candidate is not None, f"{self.name} was never built"
        return self.candidate

    def to_subject(self, source: Source) -> Subject:
        """The candidate as it is run."""
        subject = Subject.from_artifact(self.name, source, self.require_candidate().artifact, self.configuration)
        return replace(subject, canvas=self.canvas)
