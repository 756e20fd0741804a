"""One run: cook the recipes, measure every candidate against the source, and tell what came of it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from msgspec import structs

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench import hardware
from danmatte_workbench.benchmark.interleaved import PATIENCE, Rounds
from danmatte_workbench.budget import LATENCY, Budget, Verdict
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.answers import clock
from danmatte_workbench.experiment.building import Cooking, Order
from danmatte_workbench.experiment.comparison import Comparing, Entrant, original
from danmatte_workbench.experiment.estimate import SURE, Pace
from danmatte_workbench.experiment.findings import SPEEDUP, THROUGHPUT, Findings, Trial
from danmatte_workbench.experiment.progress import Progress
from danmatte_workbench.experiment.race import GROUP, Heats, Standings, Track
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.experiment.schedule import Schedule
from danmatte_workbench.experiment.search import Effort, Plan
from danmatte_workbench.metrics.contender import cooked
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.source import Source

UNCUT = {"uncut": "OpenVINO, uncut", "uncut-int8": "OpenVINO, uncut, NNCF defaults"}
PACES = "paces"
RACED_FRAMES = 16
TIMED_FRAMES = 4
LEAST_S = 60.0  # a trial's, however little time there is


@dataclass(frozen=True)
class Entry:
    """A plan that could be cooked and compared; ``measured`` is its accuracy."""

    plan: Plan
    order: Order
    entrant: Entrant
    measured: tuple[Measurement, ...]


@dataclass(frozen=True)
class Experiment:
    """What is tried on which frames within which budget.

    ``store`` keeps what was cooked and measured; each trial may take what ``limits`` say; ``progress`` hears of it.
    """

    source: Source
    data: Dataset
    calibration: Dataset
    budget: Budget
    effort: Effort
    objective: str
    store: Path
    limits: ProcessLimits
    progress: Progress
    device: str = "CPU"

    @cached_property
    def host(self) -> Host:
        """This machine."""
        return hardware.host()

    @cached_property
    def results(self) -> Results:
        """What was measured, beside the candidates."""
        return Results(self.store / "results")

    @cached_property
    def cooking(self) -> Cooking:
        """How candidates are made."""
        return Cooking(self.source, self.calibration, self.store, self.results, self.limits)

    @cached_property
    def comparing(self) -> Comparing:
        """How they are compared."""
        frames = self.data.shuffled(self.pace.frames(self.effort))
        return Comparing(self.source, frames, self.results, self.host, self.limits)

    @cached_property
    def pace(self) -> Pace:
        """From one inference of the source, which is timed once."""
        own = original(self.source)
        question = {**own.facts, "host": structs.asdict(self.host)}
        source_s = self.results.get(PACES, question)
        if source_s is None:
            with self.progress.task("pace", f"timing {own.contender.name}"):
                frames = self.data.shuffled(TIMED_FRAMES)
                source_s = run_isolated(clock, own.contender, frames, timeout_s=self.limits.time_s)
            self.results.put(PACES, question, source_s)
        return Pace(source_s, self.results, self.host)

    @cached_property
    def schedule(self) -> Schedule:
        """What is tried, told with what it should take."""
        schedule = Schedule(self.effort, self.cooking, self.comparing, self.pace)
        self.progress.tell(f"kept: {schedule.finished()} of {len(schedule.plans)} trials; {schedule.estimate}")
        if schedule.doubtful:
            names = ", ".join(plan.name for plan in schedule.doubtful)
            self.progress.tell(f"effort {self.effort.name} ends after {self.effort.limit_s:.0f} s, without: {names}")
        self.progress.expect(schedule.estimate.tasks)
        return schedule

    def run(self) -> Findings:
        """Cook, compare, race and judge. A recipe that fails is a rejected trial, not the end."""
        schedule = self.schedule
        own = self._own()
        baselines = self._baselines()
        entries, failed = self._entries()
        standings = self._race(baselines, entries)
        names = [item.contender.name for item in baselines]
        fastest = standings.fastest([name for name in names if name not in UNCUT.values()] or names)
        speeds = {name: standings.measurements(name, fastest, self.host) for name in names}
        speeds[fastest] += own
        return Findings(
            source=self.source,
            host=self.host,
            budget=self.budget,
            labelled=self.data.labelled,
            frames=len(self.comparing.data),
            calibration_frames=len(self.calibration),
            baselines={name: tuple(items) for name, items in speeds.items() if items},
            fastest=fastest,
            trials=(*(self._trial(entry, standings, fastest) for entry in entries), *failed, *schedule.trials()),
            origin=str(self.data.origin),
        )

    def _own(self) -> list[Measurement]:
        """The source's figures; what is wrong with the frames comes to light here."""
        if self.comparing.kept(self.comparing.original):
            return self.comparing.own()
        with self.progress.task("compare the source", f"comparing the source on {len(self.comparing.data)} frames"):
            return self.comparing.own()

    def _baselines(self) -> list[Entrant]:
        """Stock, its switch off and on where there is one, and OpenVINO's default and NNCF's of the whole graph."""
        found = {item.contender.name: item for item in (original(self.source), original(self.source, onednn=False))}
        for recipe, name in UNCUT.items():
            plan = Plan(recipe, configure(device=self.device))
            try:
                order = self._cooked(plan)
                entrant = self.schedule.entrant(plan, order)
                found[name] = replace(entrant, contender=replace(entrant.contender, name=name))
            except WorkbenchError as error:
                self.progress.tell(f"{name}: {error}")
        return list(found.values())

    def _cooked(self, plan: Plan) -> Order:
        """Makes sure that the plan's candidate is there."""
        order = self.cooking.order(plan.draft())
        if self.cooking.kept(order) is None:
            limits = replace(self.limits, time_s=min(self.limits.time_s, max(LEAST_S, self._spare_s())))
            with self.progress.task(f"cook {plan.cooked}", f"cooking {plan.cooked}"):
                candidate = replace(self.cooking, limits=limits).cook(order)
            self.pace.remember(order.recipe, candidate.seconds)
        return order

    def _spare_s(self) -> float:
        """Seconds that the effort still has for its trials."""
        return self.effort.limit_s - self.schedule.estimate.after_s - self.progress.seconds

    def _entries(self) -> tuple[list[Entry], list[Trial]]:
        """Each recipe is cooked and compared before the next one: what time doesn't suffice for are the last ones."""
        entries: list[Entry] = []
        failed: list[Trial] = []
        for number, plan in enumerate(self.schedule.plans):
            ahead_s = self.schedule.ahead_s(plan, len(entries))
            if number >= SURE and ahead_s > self._spare_s():
                self._late(plan, ahead_s)
                continue
            try:
                entries.append(self._entry(plan))
            except WorkbenchError as error:
                self.progress.tell(f"{plan.name}: {error}")
                failed.append(_rejected(plan, f"{type(error).__name__}: {error}"))
        return entries, failed

    def _late(self, plan: Plan, ahead_s: float) -> None:
        spare = f"effort {self.effort.name} has {max(0.0, self._spare_s()):.0f} s left"
        reason = f"not tried: with the race it would take {ahead_s:.0f} s, and {spare}"
        self.progress.tell(f"{plan.name}: {reason}")
        self.schedule.drop([plan], reason)

    def _entry(self, plan: Plan) -> Entry:
        order = self._cooked(plan)
        entrant = self.schedule.entrant(plan, order)
        if not self.comparing.kept(entrant):
            what = f"{plan.cooked} {plan.configuration.precision}"
            with self.progress.task(f"compare {what}", f"comparing {what} on {len(self.comparing.data)} frames"):
                self.comparing.ask(entrant, time_s=max(LEAST_S, self._spare_s()))
        return Entry(plan, order, entrant, tuple(self.comparing.measure(entrant)))

    def _race(self, baselines: Sequence[Entrant], entries: Sequence[Entry]) -> Standings:
        effort, names = self.effort, [entry.plan.name for entry in entries]
        heats = Heats(tuple(item.contender.name for item in baselines), effort.heat, effort.rounds, effort.finalists)
        accepted = {entry.plan.name for entry in entries if self._accurate(entry)}

        def promise(name: str, rounds: Rounds) -> float | None:
            return judge.promise(name, rounds, self.objective, self.budget) if name in accepted else None

        planned = effort.heat * -(-len(names) // GROUP) + effort.rounds
        with self.progress.task("race", f"racing {len(names)} contenders beside {len(baselines)} baselines, in turn"):
            track = self._track(planned)
            with track.open([*baselines, *(entry.entrant for entry in entries)]) as race:
                return heats.hold(race, names, promise)

    def _accurate(self, entry: Entry) -> bool:
        verdict = self.budget.judge({item.metric: item for item in entry.measured}, only=self.budget.accuracy)
        return verdict.accepted

    def _track(self, planned: int) -> Track:
        done = itertools.count(1)

        def ended() -> bool:
            return self.progress.seconds > self.effort.limit_s - self.schedule.estimate.after_s

        def step(text: str) -> None:
            self.progress.tell(text)
            self.progress.advance("race", min(1.0, next(done) / planned))

        frames = [sample.pixels for sample in self.data.shuffled(RACED_FRAMES)]
        limits = replace(PATIENCE, memory_gib=self.limits.memory_gib)
        return Track(frames, self.effort.round_s, self.results, self.host, limits, ended, step)

    def _trial(self, entry: Entry, standings: Standings, fastest: str) -> Trial:
        plan, name = entry.plan, entry.plan.name
        measured = (*entry.measured, *standings.measurements(name, fastest, self.host))
        verdict = self.budget.judge({item.metric: item for item in measured})
        if name in standings.dropped:
            verdict = Verdict((standings.dropped[name], *verdict.broken))
        candidate = self.cooking.kept(entry.order)
        seconds = (candidate.seconds if candidate else 0.0) + self.comparing.seconds(entry.entrant)
        finalist = name in standings.finalists
        canvas = entry.entrant.contender.canvas
        return Trial(
            name,
            plan.cooked,
            candidate,
            plan.configuration,
            measured,
            verdict,
            seconds=seconds,
            finalist=finalist,
            canvas=canvas,
        )

    def rematch(self, trial: Trial, configuration: Configuration, fastest: str) -> tuple[Trial, Trial]:
        """The trial and the same candidate run otherwise, raced anew beside the fastest baseline."""
        assert trial.candidate is not None, f"{trial.name} was never cooked"
        name = f"{trial.recipe} {configuration}, swept"
        artifact = trial.candidate.artifact
        pair = {
            item: Entrant(replace(cooked(item, self.source, artifact, how), canvas=trial.canvas), artifact.digest)
            for item, how in ((trial.name, trial.configuration), (name, configuration))
        }
        stocks = [original(self.source), original(self.source, onednn=False)]
        beside = [item for item in stocks if item.contender.name == fastest][:1]
        heats = Heats((fastest,) if beside else (), self.effort.heat, self.effort.rounds, len(pair))
        with self._track(self.effort.rounds).open([*beside, *pair.values()]) as race:
            standings = heats.hold(race, list(pair), lambda *_: 0.0)
        speeds = (THROUGHPUT, SPEEDUP, LATENCY)
        accuracy = tuple(item for item in trial.measurements if item.metric not in speeds)
        found = []
        for item, how in ((trial.name, trial.configuration), (name, configuration)):
            measured = (*accuracy, *standings.measurements(item, fastest, self.host))
            verdict = self.budget.judge({figure.metric: figure for figure in measured})
            found.append(replace(trial, name=item, configuration=how, measurements=measured, verdict=verdict))
        return found[0], found[1]


def _rejected(plan: Plan, reason: str) -> Trial:
    return Trial(plan.name, plan.cooked, None, plan.configuration, (), Verdict((reason,)))
