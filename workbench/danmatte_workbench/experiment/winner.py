"""Study of the winner after the trials: runtime settings, layers, startup, older CPUs, and masks."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from danmatte.contract.configuration import Configuration
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark.isa import measure_isa_levels
from danmatte_workbench.benchmark.layers import (
    LayerTime,
    list_source_kernels,
    name_by_source,
    profile_layers,
    take_names,
    time_start,
)
from danmatte_workbench.benchmark.sweep import find_best, run_sweep
from danmatte_workbench.budget import LATENCY
from danmatte_workbench.configuration import configure, reconfigure
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment import answers, judge, painting
from danmatte_workbench.experiment.race import SPEEDS
from danmatte_workbench.experiment.result import Analysis, ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.schedule import AGAIN, OTHERS, WINNERS
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.metrics.subject import Subject, list_source_subjects
from danmatte_workbench.recipe import read_recipes

SWEEPS, ISAS, LAYERS, STARTS = "sweeps", "isas", "layers", "starts"
PICTURES = 8
ISA_FRAMES = 60
POINT = ("batch", "streams", "threads", "requests", "pinning", "throughput", "latency", "agreed")
ISA_POINT = ("isa", "who", "effective", "measurements")
Rows = list[dict[str, Any]]


class WinnerStudy:
    """Tunes and inspects the winner. Tuning may change its configuration.

    Measurements are cached like comparisons. One that fails is reported and skipped.
    """

    def __init__(self, run: ExperimentRun, result: ExperimentResult, winner: Trial) -> None:
        self.result = result
        self.winner = winner
        self._run = run
        self._experiment = run.experiment
        self._progress = run.workspace.progress
        self._candidate = winner.require_candidate()
        self._sweep: Rows = []

    def tune(self) -> None:
        """Sweep configurations, race the best against the winner's, and replace the latter if it loses."""
        seconds = self._experiment.effort.sweep_s
        if not seconds:
            return
        base = self.winner.configuration
        limit_ms = self._find_latency_limit_ms()
        self._sweep, faster = self._sweep_graph(
            self.winner.name, self._candidate.artifact, base, WINNERS * seconds, limit_ms
        )
        for trial in self._run.baselines:
            if trial.recipe.exact and (found := self._find_built(trial)):
                plain = reconfigure(base, precision="f32")
                rows, _ = self._sweep_graph(trial.name, found.artifact, plain, OTHERS * seconds)
                self._sweep += rows
        if faster and faster != base and self._has_time("racing the swept configuration", AGAIN * seconds):
            self._race_against_itself(faster)

    def _find_latency_limit_ms(self) -> float:
        """Return the latency limit of other configurations: the budget's, for balanced also the source's latency."""
        limits = [self._experiment.budget.max_latency_ms or math.inf]
        own = next(
            (item for item in self.result.baselines.get(self.result.fastest, ()) if item.metric == LATENCY), None
        )
        if self._experiment.objective == judge.BALANCED and own and not self.winner.is_slower:
            limits.append(own.high)
        return min(limits)

    def _has_time(self, what: str, needed_s: float) -> bool:
        """Whether the effort has ``needed_s`` seconds left; if not, report that ``what`` isn't tried."""
        left_s = self._run.workspace.left_s
        if needed_s > left_s:
            self._progress.report(f"{what}: not tried: it takes {needed_s:.0f} s, but {left_s:.0f} s are left")
        return needed_s <= left_s

    def inspect(self, folder: Path) -> ExperimentResult:
        """Return the result with the winner and its analysis; pictures of masks are written to ``folder``."""
        source, winner = self._experiment.source, self.winner
        before = self._find_exact(baseline=True) or self._find_exact(baseline=False)
        plain = configure(device=winner.configuration.device)
        first = self._profile("the source", before.artifact, plain) if before else ()
        try:
            first = take_names(first, self._run.workspace.isolate(list_source_kernels, source.path)) if first else first
        except WorkbenchError as error:
            self._progress.report(f"names of layers: {error}")
        last = self._profile(winner.name, self._candidate.artifact, winner.configuration)
        analysis = Analysis(
            before=[dataclasses.asdict(layer) for layer in first],
            after=[dataclasses.asdict(layer) for layer in name_by_source(first, last)],
            starts=self._time_starts(before),
            sweep=self._sweep,
            isa=self._measure_older_cpus() if self._experiment.effort.sweep_s else [],
            masks=self._paint_masks(folder) if source.meaning == "person" else [],
        )
        return replace(self.result, winner=winner, analysis=analysis)

    def store_answers(self) -> bytes | None:
        """Return reference outputs to store with the winner, so that a server can check its CPU against them.

        None if the graph's output isn't a person's mask, or if the graph fails.
        """
        if self._experiment.source.meaning != "person":
            return None
        subject = self.winner.to_subject(self._experiment.source)
        data = self._run.comparison.data
        try:
            with self._progress.task("answers", "computing reference outputs for servers"):
                stored: bytes = self._run.workspace.isolate(answers.store_answers, subject, data)
        except WorkbenchError as error:
            self._progress.report(f"reference outputs: {error}")
            return None
        return stored

    def _find_built(self, trial: Trial) -> Candidate | None:
        try:
            return self._run.builder.find(trial.recipe)
        except WorkbenchError:
            return None

    def _find_exact(self, *, baseline: bool) -> Candidate | None:
        """Return a built candidate of an exact recipe: a baseline's (the whole graph), or another's (a cut graph)."""
        recipes = (item for item in read_recipes(self._experiment.source) if item.exact)
        trials = (Trial.propose(item, configure()) for item in recipes if bool(item.baseline) == baseline)
        return next((found for trial in trials if (found := self._find_built(trial))), None)

    def _sweep_graph(
        self, name: str, artifact: Artifact, base: Configuration, budget_s: float, max_latency_ms: float = math.inf
    ) -> tuple[Rows, Configuration | None]:
        """Return the points, and the configuration of the best one; None if none beats the default.

        Only points with a batch of 1 are considered, because in a batch the first picture waits for the last.
        """

        def measure() -> Any:
            pictures = self._frame_pictures(artifact)
            points = run_sweep(artifact, pictures, budget_s=budget_s, report=self._progress.report, base=base)
            single = [point for point in points if point.setting.batch == 1]
            faster = find_best(single, base.hint, max_latency_ms=max_latency_ms)
            return [
                [_select(point.to_json(), POINT) | {"who": name} for point in points],
                structs.asdict(faster.apply_to(base)) if faster else None,
            ]

        limit = {} if math.isinf(max_latency_ms) else {"max_latency_ms": max_latency_ms}
        key = self._compose_key(artifact.digest, base, budget_s) | limit
        rows, faster = self._recall(SWEEPS, key, f"sweeping {name}", measure, budget_s) or ([], None)
        return rows, configure(**faster) if faster else None

    def _race_against_itself(self, configuration: Configuration) -> None:
        """Race the winner's configuration against the sweep's, beside the fastest baseline; the better one wins."""
        effort, budget, fastest = self._experiment.effort, self._experiment.budget, self.result.fastest
        swept = replace(
            self.winner, name=f"{self.winner.recipe.name} {configuration}, swept", configuration=configuration
        )
        pair = [self.winner, swept]
        source = self._experiment.source
        beside = [item for item in list_source_subjects(source) if item.name == fastest]
        subjects = [*beside, *(trial.to_subject(source) for trial in pair)]
        try:
            with (
                self._progress.task("rematch", f"racing {self.winner.name} against the swept configuration"),
                self._run.open_race(subjects, [item.name for item in beside], effort.rounds) as race,
            ):
                standings = race.run(
                    [trial.name for trial in pair],
                    lambda *_: 0.0,
                    first=effort.first_rounds,
                    final=effort.rounds,
                    finalists=len(pair),
                )
            figures = {
                name: standings.measure(name, fastest, self._run.workspace.host)
                for name in (fastest, *(trial.name for trial in pair))
            }
            own = next((item for item in figures[fastest] if item.metric == LATENCY), None)
            accuracy = tuple(item for item in self.winner.measurements if item.metric not in SPEEDS)
            measured = [replace(trial, measurements=(*accuracy, *figures[trial.name])).judge(budget) for trial in pair]
            again, other = (replace(trial, is_slower=judge.is_slower(trial, own)) for trial in measured)
            best = judge.choose([again, other], self._experiment.objective)
        except WorkbenchError as error:
            self._progress.report(f"{configuration}: {error}")
            return
        trials = [again if trial.name == again.name else trial for trial in self.result.trials]
        self.result = replace(self.result, trials=(*trials, other))
        self.winner = best

    def _profile(self, name: str, artifact: Artifact, configuration: Configuration) -> tuple[LayerTime, ...]:
        """Return each layer with its milliseconds; empty if profiling fails."""

        def measure() -> Rows:
            pictures = self._frame_pictures(artifact)
            found = self._run.workspace.isolate(profile_layers, artifact, configuration, pictures)
            return [dataclasses.asdict(layer) for layer in found]

        key = self._compose_key(artifact.digest, configuration, 0.0)
        rows: Rows = self._recall(LAYERS, key, f"profiling {name}", measure) or []
        return tuple(LayerTime(**{**row, "weights": tuple(row.get("weights", ()))}) for row in rows)

    def _time_starts(self, before: Candidate | None) -> Rows:
        """Return the startup time of the winner, and of the source's graph if ``before`` is given."""
        wanted = {self.winner.name: (self._candidate.artifact, self.winner.configuration)}
        if before:
            plain = configure(device=self.winner.configuration.device)
            wanted = {"the source": (before.artifact, plain), **wanted}

        def measure() -> Rows:
            isolate = self._run.workspace.isolate
            return [
                {"who": name, **isolate(time_start, artifact.path, how, self._frame_pictures(artifact)[0])}
                for name, (artifact, how) in wanted.items()
            ]

        digests = "".join(artifact.digest for artifact, _ in wanted.values())
        key = self._compose_key(digests, self.winner.configuration, 0.0)
        rows: Rows = self._recall(STARTS, key, "timing the startup", measure) or []
        return rows

    def _measure_older_cpus(self) -> Rows:
        """Return speed and accuracy of the winner, and of an exact candidate in float32, limited to older levels."""
        source, winner = self._experiment.source, self.winner
        budget_s = WINNERS * self._experiment.effort.sweep_s
        subjects = [Subject.from_artifact(winner.name, source, self._candidate.artifact, winner.configuration)]
        exact = self._find_exact(baseline=False) or self._find_exact(baseline=True)
        if exact and exact != winner.candidate:
            plain = reconfigure(winner.configuration, precision="f32")
            subjects.append(Subject.from_artifact(exact.recipe.name, source, exact.artifact, plain))

        def measure() -> Rows:
            points = measure_isa_levels(
                subjects,
                self._run.comparison.data.pick(ISA_FRAMES),
                budget_s=budget_s,
                report=self._progress.report,
                meaning=source.meaning,
            )
            return [_select(point.to_json(), ISA_POINT) for point in points]

        keys = [self._compose_key(item.digest, item.configuration, budget_s) for item in subjects]
        key = {"who": [subject.name for subject in subjects], "what": keys}
        rows: Rows = self._recall(ISAS, key, "measuring older instruction sets", measure, budget_s) or []
        return rows

    def _paint_masks(self, folder: Path) -> Rows:
        """Write a few frames with both masks to ``folder``; return a row for each."""
        comparison, winner = self._run.comparison, self.winner
        source = self._experiment.source
        subject = Subject.from_artifact(winner.name, source, self._candidate.artifact, winner.configuration)
        try:
            losses = comparison.compute_losses(subject) | self._run.confirmation.compute_losses(subject)
            frames = painting.choose_frames(self._run.frames, losses)
            with self._progress.task("masks", f"painting masks of {len(frames)} frames"):
                rows: Rows = self._run.workspace.isolate(
                    painting.paint, comparison.original, subject, frames, folder, losses
                )
        except WorkbenchError as error:
            self._progress.report(f"masks: {error}")
            return []
        return rows

    def _frame_pictures(self, artifact: Artifact) -> list[np.ndarray]:
        """Return frames in the graph's input shape."""
        framing = Subject.from_artifact("", self._experiment.source, artifact, configure()).framing
        return [framing.fit_exactly(frame.pixels) for frame in self._run.comparison.data.pick(PICTURES)]

    def _compose_key(self, graph: str, configuration: Configuration, budget_s: float) -> dict[str, Any]:
        return {
            "graph": graph,
            "configuration": structs.asdict(configuration),
            "frames": self._run.comparison.frames,
            "budget_s": budget_s,
            "host": structs.asdict(self._run.workspace.host),
        }

    def _recall(
        self, kind: str, key: dict[str, Any], text: str, measure: Callable[[], Any], needed_s: float = 0.0
    ) -> Any:
        """Return the cached result, or that of ``measure``; None if it fails or has fewer than ``needed_s`` seconds."""
        results = self._run.workspace.results
        found = results.get(kind, key)
        if found is not None:
            return found
        if not self._has_time(text, needed_s):
            return None
        try:
            with self._progress.task(kind, text):
                found = measure()
        except WorkbenchError as error:
            self._progress.report(f"{text}: {error}")
            return None
        results.put(kind, key, found)
        return found


def _select(row: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: row[key] for key in keys}
