"""A run: builds the trials' candidates, compares each with the source, races and judges them."""

import itertools
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial

from msgspec import structs

from danmatte.contract.measurement import Measurement
from danmatte_workbench.benchmark.benchmark import PATIENCE
from danmatte_workbench.budget import LATENCY, MIN_KIND_SAMPLES, Budget
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError, WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.experiment.compare import Comparison, time_inference
from danmatte_workbench.experiment.confirming import Division, Referee, describe_doubt
from danmatte_workbench.experiment.queue import TrialQueue
from danmatte_workbench.experiment.race import GROUP, BenchmarkConfig, Race, Standings
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.scenes import find_scenes
from danmatte_workbench.experiment.schedule import MIN_TRIALS, START_S, STOCK_START_S, Schedule, TimeModel
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import LevelAccuracy, Trial
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.metrics.base import CONFIDENCE
from danmatte_workbench.metrics.subject import Subject, list_source_subjects
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import read_recipes
from danmatte_workbench.source import Source

PACES = "paces"
RACED_FRAMES = 16
TIMED_FRAMES = 4
MIN_TASK_S, BUILD_SHARE = 10.0, 0.5  # minimum timeout of a task, and share of the time left that a build may take
LAST_SHARE = 0.1  # of the time left: maximum for building a postponed trial
SCENES_SHARE = 0.05  # of the effort's time: maximum for detecting kinds of scene
BASELINE_SHARE = 0.25  # of the time left: maximum for building a baseline


@dataclass(frozen=True)
class Experiment:
    """The input of a run: what is tried, on which frames, and within which budget.

    data: frames to compare on; some choose the winner, the others confirm it. calibration: frames that steps may use.
    levels: the instruction sets that the winner has to suit, oldest first, this CPU's own last.
    """

    source: Source
    data: Dataset
    calibration: Dataset
    trials: tuple[Trial, ...]
    budget: Budget
    effort: Effort
    objective: str
    device: str = "CPU"
    levels: tuple[str, ...] = ()


class ExperimentRun:
    """A running experiment. Finished tasks are cached in the workspace, so that the next run of the same resumes there.

    comparison, schedule, times and other properties are computed on first access.
    """

    def __init__(self, experiment: Experiment, workspace: Workspace) -> None:
        self.experiment = experiment
        self.workspace = workspace
        self.builder = Builder(experiment.source, experiment.calibration, workspace)

    @cached_property
    def times(self) -> TimeModel:
        """Time estimates for this machine, based on one inference of the source, which is timed once."""
        subject, results = Subject.from_source(self.experiment.source), self.workspace.results
        key = {**subject.identity, "host": structs.asdict(self.workspace.host)}
        source_s = results.get(PACES, key)
        if source_s is None:
            with self.workspace.progress.task("pace", f"timing {subject.name}"):
                frames = self.experiment.data.pick(TIMED_FRAMES)
                source_s = self.workspace.isolate(time_inference, subject, frames, of_trial=False)
            results.put(PACES, key, source_s)
        own = list_source_subjects(self.experiment.source)
        return TimeModel(source_s, self.workspace, len(own), START_S if own[0].engine == "openvino" else STOCK_START_S)

    @cached_property
    def frames(self) -> Dataset:
        """The frames to compare on, as many as time allows; kinds of scene are detected if the user gave none."""
        picked = self.experiment.data.pick(self.times.count_frames(self.experiment.effort))
        return picked.sort_into(self._find_kinds(picked))

    @property
    def has_found_kinds(self) -> bool:
        """Whether the frames' kinds of scene were detected, not given by the user."""
        return bool(self.frames.kinds) and not self.experiment.data.kinds

    @cached_property
    def division(self) -> Division:
        """The frames that choose the winner, and those that confirm it."""
        return Division.of(self.frames)

    @cached_property
    def comparison(self) -> Comparison:
        """The comparison of candidates on the choosing frames."""
        return Comparison(self.experiment.source, self.division.choosing, self.workspace, self.frames)

    @cached_property
    def confirmation(self) -> Comparison:
        """The comparison of the winner on the confirming frames."""
        return Comparison(self.experiment.source, self.division.confirming, self.workspace, self.frames)

    @cached_property
    def baselines(self) -> tuple[Trial, ...]:
        """The baselines that every run shows besides the source: one for each recipe that declares itself one."""
        source = self.experiment.source
        return tuple(
            Trial(recipe.baseline, recipe, configure(device=self.experiment.device), source.size)
            for recipe in sorted(read_recipes(source), key=lambda recipe: recipe.baseline)
            if recipe.baseline
        )

    @cached_property
    def schedule(self) -> Schedule:
        """The trials that time allows; their expected durations are reported to the progress."""
        effort, progress = self.experiment.effort, self.workspace.progress
        schedule = Schedule(
            effort,
            self.experiment.trials,
            self.baselines,
            builder=self.builder,
            comparison=self.comparison,
            times=self.times,
        )
        progress.report(f"cached: {schedule.count_finished()} of {len(schedule.trials)} trials; {schedule.estimate}")
        if schedule.doubtful:
            left = f"skipped unless others take less time: {schedule.describe_doubtful()}"
            progress.report(f"effort {effort.name} ends after {effort.limit_s:.0f} s; {left}")
        progress.expect(schedule.estimate.tasks)
        return schedule

    def run(self) -> ExperimentResult:
        """Build, compare, race and judge the trials. A recipe that fails only stops its own trials, not the run."""
        experiment, host, schedule = self.experiment, self.workspace.host, self.schedule
        own = self._measure_source()
        stock = list_source_subjects(experiment.source)
        entered, rejected = self._enter_trials()
        hopeful = [trial for trial in entered if trial.keeps_accuracy(experiment.budget)]
        # If no trial can win, speeds aren't measured: the losses suffice to report which limits were broken.
        built = self._build_baselines() if hopeful else []
        compared = {trial.name: self._compare_baseline(trial) for trial in built}
        baselines = [*stock, *(trial.to_subject(experiment.source) for trial in built)] if hopeful else []
        raced = self._choose_raced(entered) if hopeful else []
        schedule.expect_race(len(raced))
        standings = self._race(baselines, raced) if hopeful else Standings({}, frozenset(), {})
        fastest = standings.find_fastest([subject.name for subject in stock]) if hopeful else stock[0].name
        figures = {subject.name: standings.measure(subject.name, fastest, host) for subject in baselines}
        original = self.comparison.original.name
        for name, items in {original if original in figures else fastest: own, **compared}.items():
            figures[name] = [*figures.get(name, []), *items]
        own_latency = next((item for item in figures.get(fastest, []) if item.metric == LATENCY), None)
        judged = [self._judge(trial, standings, fastest) for trial in entered]
        trials = [replace(trial, is_slower=judge.is_slower(trial, own_latency)) for trial in judged]
        return ExperimentResult(
            source=experiment.source,
            host=host,
            budget=experiment.budget,
            objective=experiment.objective,
            effort=experiment.effort.name,
            labelled=experiment.data.labelled,
            frames=len(self.frames),
            calibration_frames=len(experiment.calibration),
            baselines={name: tuple(items) for name, items in figures.items() if items},
            fastest=fastest,
            trials=(*trials, *rejected, *schedule.list_dropped()),
            origin=", ".join(map(str, experiment.data.origins)),
            choosing_frames=len(self.division.choosing),
            confirming_frames=len(self.division.confirming),
            kinds=dict(Counter(self.frames.kinds.values())),
            kinds_found=self.has_found_kinds,
            load=standings.compute_load(),
            scores=self.comparison.tabulate_losses(
                {trial.comparison: trial.to_subject(experiment.source) for trial in entered}
            ),
        )

    def confirm(self, result: ExperimentResult) -> ExperimentResult:
        """Return the result with the best trial confirmed on other frames, or the next best that can be confirmed."""
        experiment, progress = self.experiment, self.workspace.progress
        referee = Referee(self.division, experiment.budget, experiment.objective, self._measure, progress.report)
        with progress.task("confirm", f"confirming the choice on {len(self.division.confirming)} frames"):
            return replace(result, trials=tuple(referee.confirm(result.trials)))

    def _measure(
        self, picks: Sequence[tuple[Trial, Dataset]], confidence: float, level: str = "", *, anew: bool = False
    ) -> Accuracy:
        """Measure the trials' accuracy on these frames, which are all choosing or all confirming ones."""
        choosing = set(self.division.choosing.names)
        part = self.comparison if choosing.issuperset(picks[0][1].names) else self.confirmation
        subjects = [(trial.to_subject(self.experiment.source), frames) for trial, frames in picks]
        return part.gather(subjects, level=level).measure(self.workspace.host, confidence=confidence, anew=anew)

    def _find_kinds(self, frames: Dataset) -> dict[str, str]:
        """Detect kinds of scene by frame; empty if the user gave them, or frames or time don't suffice."""
        exact = next((item for item in self.experiment.trials if item.recipe.exact and item.canvas), None)
        if self.experiment.data.kinds or self.experiment.source.meaning != "person" or exact is None:
            return {}
        needed_s = self.times.estimate_comparison(exact.recipe, len(frames))
        if len(frames) < 2 * MIN_KIND_SAMPLES or needed_s > SCENES_SHARE * self.experiment.effort.limit_s:
            return {}
        return find_scenes(exact, self.builder, frames)

    def open_race(self, subjects: Sequence[Subject], baselines: Sequence[str], rounds: int) -> Race:
        """Return a race of about so many rounds that reports its progress and stops when the effort's time is over."""
        experiment, progress = self.experiment, self.workspace.progress
        done = itertools.count(1)

        def report_round(text: str) -> None:
            progress.report(text)
            progress.advance("race", min(1.0, next(done) / rounds))

        config = BenchmarkConfig(
            frames=[frame.pixels for frame in experiment.data.pick(RACED_FRAMES)],
            round_s=experiment.effort.round_s,
            results=self.workspace.results,
            host=self.workspace.host,
            limits=ProcessLimits(min(PATIENCE.time_s, self.workspace.left_s), self.workspace.limits.memory_gib),
            is_over=lambda: self._count_spare_s() < 0,
            on_round=report_round,
        )
        return Race(config, subjects, baselines)

    def _count_spare_s(self) -> float:
        """Return the seconds left for the effort's trials; negative if there are none."""
        return self.experiment.effort.limit_s - self.schedule.estimate.after_s - self.workspace.progress.seconds

    def _measure_source(self) -> tuple[Measurement, ...]:
        """Return the source's accuracy. Raises InputError if the frames can't be used for a comparison."""
        if self.comparison.is_done(self.comparison.original):
            return self.comparison.measure_source()
        text = f"comparing the source on {len(self.comparison.data)} frames"
        with self.workspace.progress.task("compare the source", text):
            return self.comparison.measure_source()

    def _build_baselines(self) -> list[Trial]:
        built = []
        for trial in self.baselines:
            expected_s, spare_s = self.schedule.estimate_building(trial), self._count_spare_s()
            if expected_s > BASELINE_SHARE * spare_s:
                price = f"it would take {expected_s:.0f} s, but {max(0.0, spare_s):.0f} s are left"
                self.workspace.progress.report(f"{trial.name}: not tried: {price}")
                self.schedule.settle(trial)
                continue
            try:
                built.append(self._build(trial))
            except WorkbenchError as error:
                self.workspace.progress.report(f"{trial.name}: {error}")
        return built

    def _compare_baseline(self, trial: Trial) -> tuple[Measurement, ...]:
        """Return the baseline's accuracy, measured as a trial's; empty if there is no time left or it fails."""
        subject = trial.to_subject(self.experiment.source)
        done = self.comparison.is_done(subject)
        needed_s = 0.0 if done else self.times.estimate_comparison(trial.recipe, len(self.comparison.data))
        if needed_s > max(0.0, self._count_spare_s()):
            self.workspace.progress.report(f"{trial.name}: raced, but not compared: there is no time left")
            return ()
        try:
            task = partial(self.workspace.progress.task, f"compare {trial.name}", f"comparing {trial.name}")
            with nullcontext() if done else task():
                return self.comparison.measure(subject, time_s=max(MIN_TASK_S, self._count_spare_s())).measurements
        except WorkbenchError as error:
            self.workspace.progress.report(f"{trial.name}: {error}")
            return ()

    def _build(self, trial: Trial) -> Trial:
        """Return the trial with its candidate, which is built unless it is stored."""
        recipe = trial.recipe
        candidate = self.builder.find(recipe)
        if candidate is None:
            with self.workspace.progress.task(f"build {recipe.name}", f"building {recipe.name}"):
                candidate = self.builder.build(recipe, time_s=max(MIN_TASK_S, BUILD_SHARE * self._count_spare_s()))
            self.times.remember(recipe, candidate.seconds)
        return replace(trial, candidate=candidate)

    def _enter_trials(self) -> tuple[list[Trial], list[Trial]]:
        """Return the trials that were built and compared, and those for which that failed.

        Each is compared before the next one is built, so that only the last ones are dropped if time runs out.
        """
        entered: list[Trial] = []
        rejected: list[Trial] = []
        progress, effort = self.workspace.progress, self.experiment.effort
        queue = TrialQueue(self.schedule.trials, progress.report)
        for number, trial in enumerate(queue):
            ahead_s, spare_s = self.schedule.estimate_ahead(trial, len(entered)), self._count_spare_s()
            costly = queue.is_at_last and self.schedule.estimate_building(trial) > LAST_SHARE * spare_s
            if number >= MIN_TRIALS and (ahead_s > spare_s or costly):
                left = f"effort {effort.name} has {max(0.0, spare_s):.0f} s left"
                reason = f"with the race it would take {ahead_s:.0f} s, and {left}"
                reason += "; it is unlikely to win" if costly else ""
                progress.report(f"{trial.name}: not tried: {reason}")
                self.schedule.drop(trial, reason)
                continue
            try:
                entered.append(self._compare(self._build(trial)))
            except InputError as error:
                progress.report(f"{trial.name}: doesn't apply: {error}")
                rejected.append(trial.stop("doesn't apply", str(error)))
            except WorkbenchError as error:
                progress.report(f"{trial.name}: failed: {error}")
                rejected.append(trial.stop("failed", str(error)))
            else:
                if doubt := describe_doubt(entered[-1], self.experiment.budget, self.comparison.data):
                    progress.report(doubt)
                if entered[-1].keeps_accuracy(self.experiment.budget):
                    queue.note_kept(entered[-1])
            self.schedule.settle(trial)
        return entered, rejected

    def _choose_raced(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials that there is time to race, in their order; those with too much loss are dropped first."""
        # Exact recipes are tried first because they are safe. They gain least, so here they come last.
        hopeful = [trial for trial in trials if trial.keeps_accuracy(self.experiment.budget)]
        hopeful.sort(key=lambda trial: trial.recipe.exact)
        ordered = [*hopeful, *(trial for trial in trials if trial not in hopeful)]
        spare_s = self._count_spare_s()
        count = next((n for n in range(len(ordered), 1, -1) if self.schedule.estimate_race(n) <= spare_s), 1)
        return [trial for trial in trials if trial in ordered[:count]]

    def _compare(self, trial: Trial) -> Trial:
        """Return the built trial with its accuracy."""
        subject = trial.to_subject(self.experiment.source)
        if self.comparison.is_done(subject):
            measured = self.comparison.measure(subject)
        else:
            text = f"comparing {trial.comparison} on {len(self.comparison.data)} frames"
            with self.workspace.progress.task(f"compare {trial.comparison}", text):
                measured = self.comparison.measure(subject, time_s=max(MIN_TASK_S, self._count_spare_s()))
        seconds = trial.require_candidate().seconds + self.comparison.get_seconds(subject)
        compared = replace(trial.take(measured), seconds=seconds)
        if not (trial.recipe.is_quantized and compared.keeps_accuracy(self.experiment.budget)):
            return compared  # floats give the same masks under all instruction sets
        return self.compare_under(compared, self.experiment.levels[:1])

    def compare_under(self, trial: Trial, levels: Sequence[str]) -> Trial:
        """Return the compared trial with its accuracy under these levels except this CPU's own.

        Stops at a level that breaks the budget. For a confirmed trial, the intervals are those of its confirmation.
        """
        comparison = self.confirmation if trial.confirmation else self.comparison
        confirmed = trial.confirmation
        confidence = confirmed.confidence if confirmed else CONFIDENCE
        own, known = self.experiment.levels[-1:], {item.level for item in trial.levels}
        subject = trial.to_subject(self.experiment.source)
        for level in levels:
            if level in own or level in known or not trial.keeps_accuracy(self.experiment.budget):
                continue
            text = f"comparing {trial.comparison} as computed with {level}"
            task = partial(self.workspace.progress.task, f"compare {trial.comparison} {level}", text)
            with nullcontext() if comparison.is_done(subject, level) else task():
                time_s = max(MIN_TASK_S, self._count_spare_s())
                lost = comparison.measure(
                    subject, time_s=time_s, level=level, confidence=confidence, anew=bool(confirmed)
                )
            trial = replace(trial, levels=(*trial.levels, LevelAccuracy.of(level, lost)))
        return trial

    def _race(self, baselines: Sequence[Subject], trials: Sequence[Trial]) -> Standings:
        budget, effort = self.experiment.budget, self.experiment.effort
        accurate = {trial.name for trial in trials if trial.keeps_accuracy(budget)}
        stock = [subject.name for subject in list_source_subjects(self.experiment.source)]
        rate = partial(judge.rate, objective=self.experiment.objective, budget=budget, source=stock)
        subjects = [*baselines, *(trial.to_subject(self.experiment.source) for trial in trials)]
        rounds = effort.first_rounds * -(-len(trials) // GROUP) + effort.rounds
        text = f"racing {len(trials)} trials and {len(baselines)} baselines, interleaved"
        with (
            self.workspace.progress.task("race", text),
            self.open_race(subjects, [subject.name for subject in baselines], rounds) as race,
        ):
            return race.run(
                [trial.name for trial in trials],
                lambda name, found: rate(name, found) if name in accurate else None,
                first=effort.first_rounds,
                final=effort.rounds,
                finalists=effort.finalists,
            )

    def _judge(self, trial: Trial, standings: Standings, fastest: str) -> Trial:
        measured = standings.measure(trial.name, fastest, self.workspace.host)
        judged = trial.add(measured).judge(self.experiment.budget)
        if trial.name in standings.dropped:
            judged = judged.stop("failed", standings.dropped[trial.name])
        elif trial.keeps_accuracy(self.experiment.budget) and not measured:
            judged = trial.stop("not tried", "there was no time left to race it")
        return replace(judged, finalist=trial.name in standings.finalists)
