"""Which plans a run tries in its time, and that a run that goes on after a kill tries the same ones."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import structs

from danmatte_workbench.budget import Verdict
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment.building import Cooking, Order
from danmatte_workbench.experiment.comparison import Comparing, Entrant
from danmatte_workbench.experiment.estimate import Estimate, Pace, afford
from danmatte_workbench.experiment.findings import Trial
from danmatte_workbench.experiment.search import BASELINES, Effort, Plan
from danmatte_workbench.metrics.contender import cooked

SCHEDULES = "schedules"


@dataclass
class Schedule:
    """The plans of an effort: ``plans`` are tried, ``dropped`` aren't, each with its reason.

    ``estimate`` is of what should fit the effort's time. What will is decided when each plan's turn comes: some are
    refused at once, and leave theirs to others.
    """

    effort: Effort
    cooking: Cooking
    comparing: Comparing
    pace: Pace
    dropped: dict[str, str] = field(default_factory=dict)
    plans: tuple[Plan, ...] = field(init=False)
    estimate: Estimate = field(init=False)
    doubtful: tuple[Plan, ...] = field(init=False)

    def __post_init__(self) -> None:
        """As an earlier run of the same command left it."""
        kept: Any = self.cooking.results.get(SCHEDULES, self._question)
        self.dropped = dict(kept or {})
        self.plans = tuple(plan for plan in self.effort.plans if plan.name not in self.dropped)
        sure, self.estimate = afford(self.plans, self.count, self.effort.limit_s)
        self.doubtful = tuple(plan for plan in self.plans if plan not in sure)

    def drop(self, plans: Sequence[Plan], reason: str) -> None:
        """These won't be tried, now or when the same command goes on."""
        self.dropped |= {plan.name: reason for plan in plans}
        self.plans = tuple(plan for plan in self.plans if plan.name not in self.dropped)
        self.cooking.results.put(SCHEDULES, self._question, self.dropped)

    @property
    def _question(self) -> dict[str, Any]:
        effort = {name: value for name, value in vars(self.effort).items() if name != "plans"}
        effort["limit_s"] = str(self.effort.limit_s)  # infinity isn't JSON
        return {
            "source": self.cooking.source.digest,
            "frames": [self.comparing.frames, len(self.cooking.calibration)],
            "effort": effort,
            "plans": [[plan.name, self._key(plan)] for plan in self.effort.plans],
            "host": structs.asdict(self.pace.host),
        }

    def _key(self, plan: Plan) -> str:
        try:
            order = self.cooking.order(plan.draft())
            return order.key(order.recipe)
        except WorkbenchError:
            return ""

    def trials(self) -> list[Trial]:
        """What was dropped, as trials."""
        plans = (plan for plan in self.effort.plans if plan.name in self.dropped)
        verdicts = ((plan, Verdict((self.dropped[plan.name],))) for plan in plans)
        return [Trial(plan.name, plan.recipe, None, plan.configuration, (), verdict) for plan, verdict in verdicts]

    def finished(self) -> int:
        """How many of the plans an earlier run has cooked and compared, or refused."""
        return sum(self._finished(plan) for plan in self.plans)

    def _finished(self, plan: Plan) -> bool:
        try:
            order = self.cooking.order(plan.draft())
        except WorkbenchError:
            return False
        try:
            return self.cooking.kept(order) is not None and self.comparing.kept(self.entrant(plan, order))
        except WorkbenchError:
            return True

    def entrant(self, plan: Plan, order: Order) -> Entrant:
        """The plan's contender; its candidate is there."""
        candidate = self.cooking.kept(order)
        assert candidate is not None, f"{plan.name} isn't cooked"
        source = self.cooking.source
        contender = cooked(plan.name, source, candidate.artifact, plan.configuration)
        handed = dataclasses.replace(contender, canvas=None if plan.size else source.size)  # whatever size it works at
        return Entrant(handed, candidate.artifact.digest)

    def count(self, plans: Sequence[Plan]) -> Estimate:
        """What trying these would take."""
        baselines = [Plan(name, plans[0].configuration) for name in BASELINES] if plans else []
        cooking = {plan.cooked: self._cook_s(plan) for plan in (*baselines, *plans)}
        comparing = {_compared(plan): self._compare_s(plan) for plan in plans}
        if not self.comparing.kept(self.comparing.original):
            comparing["the source"] = self.pace.own_s(len(self.comparing.data))
        return Estimate(
            cooking={name: seconds for name, seconds in cooking.items() if seconds},
            comparing={name: seconds for name, seconds in comparing.items() if seconds},
            racing=self.pace.race_s(self.effort, len(plans), 2 + len(BASELINES)),
            looking=self.pace.look_s(self.effort),
        )

    def _cook_s(self, plan: Plan) -> float:
        try:
            order = self.cooking.order(plan.draft())
            if self.cooking.kept(order):
                return 0.0
        except WorkbenchError:
            return 0.0
        return self.pace.cook_s(order.recipe, len(self.cooking.calibration))

    def _compare_s(self, plan: Plan) -> float:
        return 0.0 if self._finished(plan) else self.pace.compare_s(plan.recipe, len(self.comparing.data))

    def ahead_s(self, plan: Plan, entered: int) -> float:
        """What cooking and comparing the plan's candidate may still take, and the race with it and those before it."""
        racing = self.pace.race_s(self.effort, entered + 1, 2 + len(BASELINES))
        return self._cook_s(plan) + self._compare_s(plan) + racing


def _compared(plan: Plan) -> str:
    return f"{plan.cooked} {plan.configuration.precision}"
