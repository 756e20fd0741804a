"""One run: cook the recipes, measure every candidate against the source, and tell what came of it."""

import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench import hardware, recipe
from workbench.budget import IOU_DROP, LATENCY, Budget, Verdict
from workbench.configuration import Configuration
from workbench.dataset import Dataset
from workbench.errors import WorkbenchError
from workbench.measurement import Host, Measurement
from workbench.metrics import accuracy
from workbench.metrics.accuracy import Score
from workbench.metrics.contender import Contender, cooked, stock
from workbench.metrics.contest import Rounds, hold
from workbench.recipe import RECIPES
from workbench.search import Effort, Plan
from workbench.source import Source
from workbench.steps import Kitchen, refine
from workbench.store import Candidate
from workbench.trial import believe, compare, isolated, prepare

TRIAL_S = 1800.0
THROUGHPUT, SPEEDUP = "throughput", "speedup"
UNCUT = "OpenVINO, uncut"


@dataclass(frozen=True)
class Trial:
    """A candidate in one configuration: what was measured, and the verdict on it.

    ``candidate`` is None, and ``verdict`` says why, where it could not even be cooked.
    """

    name: str
    recipe: str
    candidate: Candidate | None
    configuration: Configuration
    measurements: tuple[Measurement, ...]
    verdict: Verdict

    def measured(self, metric: str) -> Measurement | None:
        """The measurement of that metric, if there is one."""
        return next((item for item in self.measurements if item.metric == metric), None)


@dataclass(frozen=True)
class Findings:
    """A whole run. ``baselines`` hold the same metrics as the trials; ``fastest`` is stock TensorFlow's better one."""

    source: Source
    host: Host
    budget: Budget
    labelled: bool
    frames: int
    calibration_frames: int
    baselines: dict[str, tuple[Measurement, ...]]
    fastest: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Entry:
    """A plan that could be cooked."""

    plan: Plan
    candidate: Candidate
    contender: Contender


@dataclass(frozen=True)
class Experiment:
    """What is tried on which frames within which budget.

    ``store`` keeps what was cooked; ``tell`` hears of progress.
    """

    source: Source
    data: Dataset
    calibration: Dataset
    budget: Budget
    effort: Effort
    store: Path
    tell: Callable[[str], None]

    def run(self) -> Findings:
        """Cook, compare, race and judge. A recipe that fails is a rejected trial, not the end."""
        host = hardware.host()
        entries, failed = self._cook(self.effort.plans)
        cooked_ones = [entry.contender for entry in entries]
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            scores = self._compare([stock(self.source), *cooked_ones], Path(folder))
        uncut = self._uncut()
        contenders = [stock(self.source), stock(self.source, onednn=False), *([uncut] if uncut else [])]
        rounds = self._race([*contenders, *cooked_ones])
        fastest = max(contenders[:2], key=lambda item: float(np.median(rounds.throughput[item.name]))).name
        source_scores = scores[stock(self.source).name]
        trials = []
        for entry in entries:
            measured = self._accuracies(source_scores, scores[entry.contender.name], host)
            trials.append(self._trial(entry, measured + _speeds(entry.contender.name, rounds, fastest, host)))
        baselines = {item.name: tuple(_speeds(item.name, rounds, fastest, host)) for item in contenders}
        baselines[fastest] += tuple(self._accuracies(source_scores, source_scores, host)[1:])
        return Findings(
            source=self.source,
            host=host,
            budget=self.budget,
            labelled=self.data.labelled,
            frames=len(self.data),
            calibration_frames=len(self.calibration),
            baselines=baselines,
            fastest=fastest,
            trials=(*trials, *failed),
        )

    def _cook(self, plans: Sequence[Plan]) -> tuple[list[Entry], list[Trial]]:
        entries, failed = [], []
        for name in dict.fromkeys(plan.recipe for plan in plans):
            self.tell(f"cooking {name}")
            mine = [plan for plan in plans if plan.recipe == name]
            try:
                candidate = self._prepare(name)
            except WorkbenchError as error:
                verdict = Verdict((f"{type(error).__name__}: {error}",))
                failed += [Trial(plan.name, name, None, plan.configuration, (), verdict) for plan in mine]
                continue
            for plan in mine:
                contender = cooked(plan.name, self.source, candidate.artifact, plan.configuration)
                entries.append(Entry(plan, candidate, contender))
        return entries, failed

    def _prepare(self, name: str) -> Candidate:
        kitchen = Kitchen(self.source, self.calibration)
        refined = refine(recipe.read(RECIPES / f"{name}.toml"), self.source)
        candidate: Candidate = isolated(prepare, refined, kitchen, self.store, timeout_s=TRIAL_S)
        return candidate

    def _uncut(self) -> Contender | None:
        """OpenVINO's default of the whole graph; None, said aloud, where it can't read it."""
        try:
            candidate = self._prepare("uncut")
        except WorkbenchError as error:
            self.tell(f"{UNCUT}: {error}")
            return None
        return cooked(UNCUT, self.source, candidate.artifact, Configuration(precision="f32"))

    def _compare(self, contenders: Iterable[Contender], folder: Path) -> dict[str, list[Score]]:
        """Scores by name; hints don't change an answer, so equal graphs at equal precision are run once."""
        source, *others = contenders
        truth = None
        if not self.data.labelled:
            self.tell(f"asking the source for {len(self.data)} masks")
            truth = folder / "source.npz"
            isolated(believe, source, self.data, truth, timeout_s=TRIAL_S)
        scores: dict[str, list[Score]] = {}
        known: dict[tuple[Path, str, str], list[Score]] = {}
        for contender in (source, *others):
            key = (contender.path, contender.engine, contender.configuration.precision)
            if key not in known:
                self.tell(f"comparing {contender.name} on {len(self.data)} frames")
                known[key] = isolated(compare, contender, self.data, truth, timeout_s=TRIAL_S)
            scores[contender.name] = known[key]
        return scores

    def _race(self, contenders: Sequence[Contender]) -> Rounds:
        self.tell(f"racing {len(contenders)} contenders, in turn, for {self.effort.rounds} rounds")
        window = self.source.framing
        pictures = [window.prepare(sample.pixels) for sample in self.data.shuffled(16)]
        return hold(contenders, pictures, rounds=self.effort.rounds, round_s=self.effort.round_s)

    def _accuracies(self, source: list[Score], scores: list[Score], host: Host) -> list[Measurement]:
        """The drop first; without labels there is no more to say."""
        if not self.data.labelled:
            return [accuracy.disagreement(scores, IOU_DROP, host)]
        figures = (accuracy.Metric.all[kind].measure(scores, host) for kind in ("mean_iou", "boundary_iou"))
        return [accuracy.drop(source, scores, IOU_DROP, host), *figures]

    def _trial(self, entry: Entry, measurements: list[Measurement]) -> Trial:
        verdict = self.budget.judge({item.metric: item for item in measurements})
        plan = entry.plan
        return Trial(plan.name, plan.recipe, entry.candidate, plan.configuration, tuple(measurements), verdict)


def _speeds(name: str, rounds: Rounds, fastest: str, host: Host) -> list[Measurement]:
    found = [
        Measurement.median(THROUGHPUT, rounds.throughput[name], "frames/s", host),
        Measurement.median(SPEEDUP, rounds.ratios(name, fastest), "×", host),
    ]
    if rounds.latency_ms[name]:
        found.append(Measurement.median(LATENCY, rounds.latency_ms[name], "ms", host))
    return found
