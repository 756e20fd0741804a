"""Time estimates of a run, and the trials that fit its time. A run that is resumed after a kill tries the same ones."""

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
START_S = 4.0  # to start a process and import its libraries
STOCK_START_S = 9.0  # the same with TensorFlow, which contains the TFLite interpreter
FRAME_S = 0.02  # to decode and resize a frame, and to score its mask
COMPILE_S = 2.0
STUDY_S = {"layers": 10.0, "masks": 15.0}
# Shares of the sweep's seconds: for the winner (and again for older CPUs), for a baseline, and for the last race.
WINNERS, OTHERS, AGAIN = 0.5, 0.25, 0.25
# Inference time relative to the source's: of an uncut graph, of a quantized one, and of any other.
WHOLE, QUANTIZED, FLOAT = 0.6, 0.25, 0.5
OWN_SHARE = 0.25  # of the effort's time, for the source's own outputs
MIN_FRAMES = 24  # even if the source is slow
MIN_TRIALS = 2  # tried even if there is no time


@dataclass(frozen=True)
class Estimate:
    """Estimated seconds of the tasks ahead; tasks that an earlier run finished take none."""

    building: dict[str, float] = field(default_factory=dict)
    comparing: dict[str, float] = field(default_factory=dict)
    racing: float = 0.0
    studying: dict[str, float] = field(default_factory=dict)

    @property
    def tasks(self) -> dict[str, float]:
        """Seconds by name of task."""
        named = {f"build {name}": seconds for name, seconds in self.building.items()}
        named |= {f"compare {name}": seconds for name, seconds in self.comparing.items()}
        return named | {"race": self.racing} | self.studying

    @property
    def after_s(self) -> float:
        """Seconds of the tasks after the trials."""
        return sum(self.studying.values())

    @property
    def seconds(self) -> float:
        """Seconds of all tasks."""
        return sum(self.tasks.values())

    def __str__(self) -> str:
        parts = {
            f"{len(self.building)} recipes": sum(self.building.values()),
            f"{len(self.comparing)} comparisons": sum(self.comparing.values()),
            "racing": self.racing,
            "study of the winner": self.after_s,
        }
        said = (f"{name} {format_duration(seconds)}" for name, seconds in parts.items())
        return f"about {format_duration(self.seconds)}: {', '.join(said)}"


@dataclass(frozen=True)
class TimeModel:
    """Estimates how long tasks take on this machine, from ``source_s`` seconds for one inference of the source.

    Durations of earlier builds are cached in the workspace. Those of another source are scaled by the ratio of the two
    sources' inference times. stocks: number of ways to run the source that are raced; TensorFlow has two. start_s:
    seconds that each of them takes to start.
    """

    source_s: float
    workspace: Workspace
    stocks: int = 2
    start_s: float = STOCK_START_S

    def remember(self, recipe: Recipe, seconds: float) -> None:
        """Store the seconds that building the recipe took."""
        answer = {"seconds": seconds, "source_s": self.source_s}
        self.workspace.results.put(DURATIONS, self._compose_key(recipe), answer)

    def estimate_build(self, recipe: Recipe, calibration: int, begun: Candidate | None = None) -> float:
        """Return the expected seconds of a build.

        calibration: number of calibration frames. begun: a candidate of the recipe's first steps to continue from.
        """
        known: Any = self.workspace.results.get(DURATIONS, self._compose_key(recipe))
        if known:
            # At least half of it remains with a faster source: the start of processes and libraries.
            whole = float(known["seconds"] * max(0.5, self.source_s / known["source_s"]))
            return max(START_S, whole - begun.seconds) if begun else whole
        ahead = recipe.steps[len(begun.recipe.steps) if begun else 0 :]
        return START_S + sum(step.estimate_s(calibration, self.source_s) for step in ahead)

    def count_frames(self, effort: Effort) -> int:
        """Return how many of the effort's frames the source can process in `OWN_SHARE` of its time.

        At least `MIN_FRAMES`.
        """
        affordable = OWN_SHARE * effort.limit_s / (self.source_s + FRAME_S)
        return max(MIN_FRAMES, int(min(effort.frames, affordable)))

    def estimate_comparison(self, recipe: Recipe, frames: int) -> float:
        """Return the expected seconds to run a recipe's candidate on so many frames and score it."""
        share = WHOLE if recipe.is_whole else QUANTIZED if recipe.is_quantized else FLOAT
        return START_S + frames * (FRAME_S + share * self.source_s)

    def estimate_source(self, frames: int) -> float:
        """Return the expected seconds to run the source itself on so many frames and score it."""
        return self.start_s + frames * (FRAME_S + self.source_s)

    def estimate_race(self, effort: Effort, trials: int, baselines: int) -> float:
        """Return the expected seconds of both stages of a race.

        baselines: number of baselines besides the ways to run the source. Each of the latter takes longer than
        ``round_s`` if four inferences do, the minimum of a round.
        """
        subjects = self.stocks + baselines + trials
        everybody = self.stocks * max(effort.round_s, 4 * self.source_s) + subjects * effort.round_s
        finalists = min(effort.finalists, trials)
        final = everybody - (trials - finalists) * effort.round_s
        starts = self.stocks * self.start_s + subjects * COMPILE_S
        return starts + effort.first_rounds * everybody * (trials > finalists) + effort.rounds * final

    def estimate_confirmation(self, frames: int, *, labelled: bool) -> float:
        """Return the expected seconds to confirm a choice on so many frames, on this CPU and under an older level.

        labelled: whether the source is scored there, too; without labels its outputs are already stored.
        """
        candidate_s = START_S + frames * (FRAME_S + QUANTIZED * self.source_s)
        return 2 * candidate_s + (self.estimate_source(frames) if labelled else 0.0)

    def estimate_study(self, effort: Effort) -> dict[str, float]:
        """Return the expected seconds of the winner's study, by task."""
        sweep_s = effort.sweep_s
        if not sweep_s:
            return dict(STUDY_S)
        return STUDY_S | {"sweeps": (WINNERS + OTHERS) * sweep_s, "isas": WINNERS * sweep_s, "rematch": AGAIN * sweep_s}

    def _compose_key(self, recipe: Recipe) -> dict[str, Any]:
        steps = [[step.kind, step.revision, step.fields.get("frames", 0)] for step in recipe.steps]
        host = self.workspace.host
        return {"recipe": recipe.name, "steps": steps, "cpu": host.cpu, "cores": host.cores}


class Schedule:
    """The trials of an effort: ``trials`` to try, and ``dropped`` ones by name with the reason.

    ``estimate`` covers the trials that should fit the effort's time, ``doubtful`` are the others. The decision is made
    just before each trial, because some fail at once and leave their time to others.
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
        self.dropped: dict[str, str] = dict(self._results.get(SCHEDULES, self._key) or {})
        self.trials = tuple(trial for trial in self._proposed if trial.name not in self.dropped)
        sure, self.estimate = choose_affordable(self.trials, self._make_counter(), effort.limit_s)
        self.doubtful = tuple(trial for trial in self.trials if trial not in sure)

    def drop(self, trial: Trial, reason: str) -> None:
        """Exclude the trial from this run, also when the same command resumes it."""
        self.dropped[trial.name] = reason
        self.settle(trial)
        self.trials = tuple(item for item in self.trials if item.name != trial.name)
        self._results.put(SCHEDULES, self._key, self.dropped)

    def settle(self, trial: Trial) -> None:
        """Remove the trial's build and comparison from the expected tasks, whatever its outcome."""
        self._progress.forget(f"build {trial.recipe.name}", f"compare {trial.comparison}")

    def expect_race(self, trials: int) -> None:
        """Expect a race of so many trials; with 0, expect neither a race nor the builds of baselines."""
        self._progress.forget("race")
        if trials:
            self._progress.expect({"race": self.estimate_race(trials) / self.pace})
            return
        for baseline in self._baselines:
            self.settle(baseline)

    def list_dropped(self) -> list[Trial]:
        """Return the dropped trials, marked as not tried."""
        return [
            trial.stop("not tried", self.dropped[trial.name]) for trial in self._proposed if trial.name in self.dropped
        ]

    def describe_doubtful(self) -> str:
        """Return the doubtful recipes in words, each with the time to build and compare it."""
        prices: dict[str, float] = {}
        sure = {trial.recipe.name for trial in self.trials if trial not in self.doubtful}
        for trial in self.doubtful:
            if trial.recipe.name not in sure:
                prices[trial.recipe.name] = self._estimate_build(trial) + self._estimate_comparison(trial)
        named = [f"{name} (about {format_duration(price)})" for name, price in prices.items()]
        others = len(self.doubtful) - sum(trial.recipe.name in prices for trial in self.doubtful)
        return ", ".join([*named, *([f"{others} other configurations of recipes that are tried"] if others else [])])

    def count_finished(self) -> int:
        """Return how many of the trials are already built and compared, or refused."""
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
        """Return the expected seconds to build and compare the trial, and to race it with ``entered`` earlier ones.

        Scaled by `pace`, because a busy machine is slower at all tasks.
        """
        return self.pace * (self._estimate_build(trial) + self._estimate_comparison(trial)) + self.estimate_race(
            entered + 1
        )

    def estimate_race(self, trials: int) -> float:
        """Return the expected seconds of a race of so many trials, scaled by `pace`."""
        return self.pace * self._times.estimate_race(self._effort, trials, len(self._baselines))

    def estimate_building(self, trial: Trial) -> float:
        """Return the expected seconds to build the trial, scaled by `pace`."""
        return self.pace * self._estimate_build(trial)

    @property
    def pace(self) -> float:
        """How many times slower than expected this machine is, at least 1."""
        return max(1.0, self._progress.pace)

    @property
    def _key(self) -> dict[str, Any]:
        return {
            "source": self._builder.source.digest,
            "frames": [self._comparison.frames, len(self._builder.calibration)],
            "effort": vars(self._effort) | {"limit_s": str(self._effort.limit_s)},  # infinity isn't JSON
            "trials": [[trial.name, self._builder.compute_key(trial.recipe)] for trial in self._proposed],
            "host": structs.asdict(self._builder.workspace.host),
        }

    def _make_counter(self) -> Callable[[Sequence[Trial]], Estimate]:
        """Return a function that estimates some of the trials. The store is searched only here, once for each trial."""
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
        """Return the expected seconds of the confirmation; 0 if the same frames choose and confirm."""
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
    """Return the trials that fit into ``limit_s`` seconds, and their estimate.

    Trials are added in their order, each if it still fits; the first `MIN_TRIALS` are always included.
    """
    kept = tuple(trials[:MIN_TRIALS])
    for trial in trials[MIN_TRIALS:]:
        if count((*kept, trial)).seconds <= limit_s:
            kept = (*kept, trial)
    return kept, count(kept)
