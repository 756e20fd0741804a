"""How long a run takes, and which trials it can afford; a run that goes on after a kill tries the same ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs

from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment.build import Builder
from danmatte_workbench.experiment.compare import Comparison
from danmatte_workbench.experiment.progress import format_duration
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.store import Candidate, Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.recipe import Recipe

SCHEDULES, DURATIONS = "schedules", "durations"
START_S = 4.0  # a process with its libraries
STOCK_START_S = 9.0  # the same with TensorFlow, which the TFLite interpreter comes with
FRAME_S = 0.02  # to decode, to frame, and to score the mask
COMPILE_S = 2.0
STUDY_S = {"layers": 10.0, "masks": 15.0}
WINNERS, OTHERS, AGAIN = 0.5, 0.25, 0.25  # of the sweep's seconds: the winner's, each other study's, a last race's
WHOLE, QUANTIZED, FLOAT = 0.6, 0.25, 0.5  # of the source's time: what a graph takes that is whole, in 8 bits, neither
OWN_SHARE = 0.25  # of the effort's time, for the source's own answers
FEWEST = 24  # frames, however slow the source is
SURE = 2  # trials that stay, however little time there is


@dataclass(frozen=True)
class Estimate:
    """Seconds ahead, by task; what is kept from an earlier run takes none."""

    building: dict[str, float] = field(default_factory=dict)
    comparing: dict[str, float] = field(default_factory=dict)
    racing: float = 0.0
    studying: dict[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> dict[str, float]:
        """Seconds by the task's name."""
        named = {f"build {name}": seconds for name, seconds in self.building.items()}
        named |= {f"compare {name}": seconds for name, seconds in self.comparing.items()}
        return named | {"race": self.racing} | self.studying

    @property
    def after_s(self) -> float:
        """Seconds of what comes after the trials."""
        return sum(self.studying.values())

    @property
    def seconds(self) -> float:
        """Seconds of all of it."""
        return sum(self.tasks.values())

    def __str__(self) -> str:
        parts = {
            f"{len(self.building)} recipes": sum(self.building.values()),
            f"{len(self.comparing)} comparisons": sum(self.comparing.values()),
            "racing": self.racing,
            "a closer look": self.after_s,
        }
        said = (f"{name} {format_duration(seconds)}" for name, seconds in parts.items())
        return f"about {format_duration(self.seconds)}: {', '.join(said)}"


@dataclass(frozen=True)
class TimeModel:
    """What this machine takes for things: ``source_s`` for one inference of the source; what was timed is in results.

    Durations of earlier builds, of whichever source, are scaled by the two sources' inference times.
    stocks: how many ways to run the source itself are raced; TensorFlow has two. start_s: seconds that each takes to
    start.
    """

    source_s: float
    workspace: Workspace
    stocks: int = 2
    start_s: float = STOCK_START_S

    def remember(self, recipe: Recipe, seconds: float) -> None:
        """Keep what building it took."""
        answer = {"seconds": seconds, "source_s": self.source_s}
        self.workspace.results.put(DURATIONS, self._compose_question(recipe), answer)

    def estimate_build(self, recipe: Recipe, calibration: int, begun: Candidate | None = None) -> float:
        """Seconds that building it on so many frames should take, going on from ``begun`` where that is there."""
        known: Any = self.workspace.results.get(DURATIONS, self._compose_question(recipe))
        if known:
            # Half of it is what processes and libraries take to start, however fast a source is.
            whole = float(known["seconds"] * max(0.5, self.source_s / known["source_s"]))
            return max(START_S, whole - begun.seconds) if begun else whole
        ahead = recipe.steps[len(begun.recipe.steps) if begun else 0 :]
        return START_S + sum(step.estimate_s(calibration, self.source_s) for step in ahead)

    def count_frames(self, effort: Effort) -> int:
        """As many of the effort's frames as the source answers in a part of its time, but a few."""
        affordable = OWN_SHARE * effort.limit_s / (self.source_s + FRAME_S)
        return max(FEWEST, int(min(effort.frames, affordable)))

    def estimate_comparison(self, recipe: Recipe, frames: int) -> float:
        """Seconds that the answers of a recipe's candidate on so many frames should take."""
        share = WHOLE if recipe.is_whole else QUANTIZED if recipe.is_quantized else FLOAT
        return START_S + frames * (FRAME_S + share * self.source_s)

    def estimate_source(self, frames: int) -> float:
        """The same of the source itself."""
        return self.start_s + frames * (FRAME_S + self.source_s)

    def estimate_race(self, effort: Effort, trials: int, baselines: int) -> float:
        """Seconds of both stages, ``baselines`` beside the source in its settings.

        The source takes longer than its share of a round where a few frames do.
        """
        subjects = self.stocks + baselines + trials
        everybody = self.stocks * max(effort.round_s, 4 * self.source_s) + subjects * effort.round_s
        finalists = min(effort.finalists, trials)
        final = everybody - (trials - finalists) * effort.round_s
        starts = self.stocks * self.start_s + subjects * COMPILE_S
        return starts + effort.first_rounds * everybody * (trials > finalists) + effort.rounds * final

    def estimate_confirmation(self, frames: int, *, labelled: bool) -> float:
        """Seconds that confirming a choice on so many frames should take, also as an older CPU would compute it.

        labelled: whether the source, too, is compared there; its own answers are known otherwise.
        """
        candidate_s = START_S + frames * (FRAME_S + QUANTIZED * self.source_s)
        return 2 * candidate_s + (self.estimate_source(frames) if labelled else 0.0)

    def estimate_study(self, effort: Effort) -> dict[str, float]:
        """Seconds that the closer look at the winner should take, by task."""
        sweep_s = effort.sweep_s
        if not sweep_s:
            return dict(STUDY_S)
        return STUDY_S | {"sweeps": (WINNERS + OTHERS) * sweep_s, "isas": WINNERS * sweep_s, "rematch": AGAIN * sweep_s}

    def _compose_question(self, recipe: Recipe) -> dict[str, Any]:
        steps = [[step.kind, step.revision, step.fields.get("frames", 0)] for step in recipe.steps]
        host = self.workspace.host
        return {"recipe": recipe.name, "steps": steps, "cpu": host.cpu, "cores": host.cores}


class Schedule:
    """The trials of an effort: ``trials`` are tried, ``dropped`` aren't, each with its reason.

    ``estimate`` is of what should fit the effort's time, ``doubtful`` is what shouldn't. What does is decided when
    each trial's turn comes: some are refused at once, and leave their time to others.
    """

    def __init__(
        self,
        effort: Effort,
        proposed: Sequence[Trial],
        baselines: Sequence[Trial],
        *,
        builder: Builder,
        comparison: Comparison,
        times: TimeModel,
    ) -> None:
        self._effort = effort
        self._proposed = tuple(proposed)
        self._baselines = tuple(baselines)
        self._builder = builder
        self._comparison = comparison
        self._times = times
        self._results = builder.workspace.results
        self._progress = builder.workspace.progress
        self.dropped: dict[str, str] = dict(self._results.get(SCHEDULES, self._question) or {})
        self.trials = tuple(trial for trial in self._proposed if trial.name not in self.dropped)
        sure, self.estimate = choose_affordable(self.trials, self._make_counter(), effort.limit_s)
        self.doubtful = tuple(trial for trial in self.trials if trial not in sure)

    def drop(self, trial: Trial, reason: str) -> None:
        """Don't try it, now or when the same command goes on."""
        self.dropped[trial.name] = reason
        self.settle(trial)
        self.trials = tuple(item for item in self.trials if item.name != trial.name)
        self._results.put(SCHEDULES, self._question, self.dropped)

    def settle(self, trial: Trial) -> None:
        """Expect no more time for building and comparing the trial, whatever became of it."""
        self._progress.forget(f"build {trial.recipe.name}", f"compare {trial.comparison}")

    def expect_race(self, trials: int) -> None:
        """Expect a race of so many trials, and none beside whom to race where there are none."""
        self._progress.forget("race")
        if trials:
            self._progress.expect({"race": self.estimate_race(trials) / self.pace})
            return
        for baseline in self._baselines:
            self.settle(baseline)

    def list_dropped(self) -> list[Trial]:
        """What was dropped, as trials that weren't tried."""
        return [
            trial.stop("not tried", self.dropped[trial.name]) for trial in self._proposed if trial.name in self.dropped
        ]

    def describe_doubtful(self) -> str:
        """The recipes that there is hardly time for, each with the time that building and comparing it would take."""
        prices: dict[str, float] = {}
        sure = {trial.recipe.name for trial in self.trials if trial not in self.doubtful}
        for trial in self.doubtful:
            if trial.recipe.name not in sure:
                prices[trial.recipe.name] = self._estimate_build(trial) + self._estimate_comparison(trial)
        named = [f"{name} (about {format_duration(price)})" for name, price in prices.items()]
        others = len(self.doubtful) - sum(trial.recipe.name in prices for trial in self.doubtful)
        return ", ".join([*named, *([f"{others} other ways to run what is tried"] if others else [])])

    def count_finished(self) -> int:
        """How many of the trials an earlier run has built and compared, or refused."""
        return sum(self.is_finished(trial) for trial in self.trials)

    def is_finished(self, trial: Trial) -> bool:
        """Whether the trial was built and compared, or refused."""
        try:
            candidate = self._builder.find(trial.recipe)
            if candidate is None:
                return False
            return self._comparison.is_done(replace(trial, candidate=candidate).to_subject(self._builder.source))
        except WorkbenchError:
            return True

    def estimate_ahead(self, trial: Trial, entered: int) -> float:
        """Seconds that building and comparing the trial may take, and the race with it and those before it.

        What earlier tasks took beside what was expected of them counts: a busy machine is slower at all of them.
        """
        return self.pace * (self._estimate_build(trial) + self._estimate_comparison(trial)) + self.estimate_race(
            entered + 1
        )

    def estimate_race(self, trials: int) -> float:
        """Seconds that a race of so many trials may take, to its least number of rounds."""
        return self.pace * self._times.estimate_race(self._effort, trials, len(self._baselines))

    def estimate_building(self, trial: Trial) -> float:
        """Seconds that building the trial may take."""
        return self.pace * self._estimate_build(trial)

    @property
    def pace(self) -> float:
        """How much slower than expected this machine is, 1 at least."""
        return max(1.0, self._progress.pace)

    @property
    def _question(self) -> dict[str, Any]:
        return {
            "source": self._builder.source.digest,
            "frames": [self._comparison.frames, len(self._builder.calibration)],
            "effort": vars(self._effort) | {"limit_s": str(self._effort.limit_s)},  # infinity isn't JSON
            "trials": [[trial.name, self._builder.compute_key(trial.recipe)] for trial in self._proposed],
            "host": structs.asdict(self._builder.workspace.host),
        }

    def _make_counter(self) -> Callable[[Sequence[Trial]], Estimate]:
        """A function that says what trying some of the trials would take; each is looked at once, here."""
        building = {trial.recipe.name: self._estimate_build(trial) for trial in (*self._baselines, *self.trials)}
        comparing = {trial.comparison: self._estimate_comparison(trial) for trial in self.trials}
        source = {}
        if not self._comparison.is_done(self._comparison.original):
            source = {"the source": self._times.estimate_source(len(self._comparison.data))}
        studying = self._times.estimate_study(self._effort)
        if confirming_s := self._estimate_confirmation():
            studying["confirm"] = confirming_s

        def count(trials: Sequence[Trial]) -> Estimate:
            recipes = dict.fromkeys(item.recipe.name for item in (*(self._baselines if trials else ()), *trials))
            labels = dict.fromkeys(item.comparison for item in trials)
            return Estimate(
                building={name: building[name] for name in recipes if building[name]},
                comparing={name: comparing[name] for name in labels if comparing[name]} | source,
                racing=self._times.estimate_race(self._effort, len(trials), len(self._baselines)),
                studying=studying,
            )

        return count

    def _estimate_confirmation(self) -> float:
        """Of what is compared on frames that choose, nothing is compared again where the same ones confirm."""
        data, whole = self._comparison.data, self._comparison.whole
        if whole is None or len(whole) == len(data):
            return 0.0
        labelled = not self._comparison.uses_own_answers
        return self._times.estimate_confirmation(len(whole) - len(data), labelled=labelled)

    def _estimate_build(self, trial: Trial) -> float:
        try:
            if self._builder.find(trial.recipe):
                return 0.0
        except WorkbenchError:
            return 0.0
        begun = self._builder.find_beginning(trial.recipe)
        return self._times.estimate_build(trial.recipe, len(self._builder.calibration), begun)

    def _estimate_comparison(self, trial: Trial) -> float:
        if self.is_finished(trial):
            return 0.0
        return self._times.estimate_comparison(trial.recipe, len(self._comparison.data))


def choose_affordable(
    trials: Sequence[Trial], count: Callable[[Sequence[Trial]], Estimate], limit_s: float
) -> tuple[tuple[Trial, ...], Estimate]:
    """The trials that fit the limit: in their order, each that still does beside those before it; a few always stay."""
    kept = tuple(trials[:SURE])
    for trial in trials[SURE:]:
        if count((*kept, trial)).seconds <= limit_s:
            kept = (*kept, trial)
    return kept, count(kept)
