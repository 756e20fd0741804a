"""The winner, tuned and looked at closely once the trials are over."""

import dataclasses
from pathlib import Path
from typing import Any

from danmatte.contract.configuration import Configuration
from danmatte_workbench.configuration import configure, reconfigure
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.analysis import Analysis, Analyst
from danmatte_workbench.experiment.estimate import OTHERS, WINNERS
from danmatte_workbench.experiment.experiment import UNCUT, Experiment
from danmatte_workbench.experiment.findings import Findings, Trial
from danmatte_workbench.experiment.search import Plan
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.metrics.contender import cooked


class Look:
    """At the winner, which may come out of it run in another way."""

    def __init__(self, experiment: Experiment, findings: Findings, winner: Trial) -> None:
        self.findings = findings
        self.winner = winner
        self._experiment = experiment
        self._analyst = Analyst(
            experiment.source, experiment.comparing, experiment.results, experiment.limits, experiment.progress
        )
        self._uncut = self._candidate("uncut")
        self._rows: list[dict[str, Any]] = []

    @property
    def _cooked(self) -> Candidate:
        assert self.winner.candidate is not None, f"{self.winner.name} was never cooked"
        return self.winner.candidate

    def _candidate(self, recipe: str) -> Candidate | None:
        try:
            order = self._experiment.cooking.order(Plan(recipe, configure()).draft())
            return self._experiment.cooking.kept(order)
        except WorkbenchError:
            return None

    def tune(self, objective: str) -> None:
        """Sweep; what beats the winner's configuration is raced against it, and takes its place where it wins."""
        seconds = self._experiment.effort.sweep_s
        if not seconds:
            return
        base = self.winner.configuration
        limit_ms = self._experiment.budget.max_latency_ms
        self._rows, faster = self._analyst.sweep(
            self.winner.name, self._cooked.artifact, base, budget_s=WINNERS * seconds, max_latency_ms=limit_ms
        )
        if self._uncut:
            name, plain = UNCUT["uncut"], reconfigure(base, precision="f32")
            rows, _ = self._analyst.sweep(name, self._uncut.artifact, plain, budget_s=OTHERS * seconds)
            self._rows += rows
        if faster and configure(**faster) != base:
            self._rematch(configure(**faster), objective)

    def _rematch(self, configuration: Configuration, objective: str) -> None:
        progress = self._experiment.progress
        try:
            with progress.task("rematch", f"racing {self.winner.name} against itself, run otherwise"):
                again, other = self._experiment.rematch(self.winner, configuration, self.findings.fastest)
            best = judge.choose([again, other], objective)
        except WorkbenchError as error:
            progress.tell(f"{configuration}: {error}")
            return
        trials = [again if trial.name == again.name else trial for trial in self.findings.trials]
        self.findings = dataclasses.replace(self.findings, trials=(*trials, other))
        self.winner = best

    def inspect(self, folder: Path) -> Analysis:
        """Layers before and after, older CPUs, masks."""
        winner, look = self.winner, self._analyst
        before = self._uncut or self._candidate("float")
        plain = configure(device=winner.configuration.device)
        return Analysis(
            before=look.layers("the source", before.artifact, plain) if before else [],
            after=look.layers(winner.name, self._cooked.artifact, winner.configuration),
            sweep=self._rows,
            isa=self._older(),
            masks=look.masks(winner, folder / "masks") if self._experiment.source.meaning == "person" else [],
        )

    def _older(self) -> list[dict[str, Any]]:
        seconds = self._experiment.effort.sweep_s
        if not seconds:
            return []
        source, winner = self._experiment.source, self.winner
        pairs = [(cooked(winner.name, source, self._cooked.artifact, winner.configuration), self._cooked.artifact)]
        float_ = self._candidate("float") or self._uncut
        if float_ and float_ != winner.candidate:
            plain = reconfigure(winner.configuration, precision="f32")
            pairs.append((cooked(float_.recipe.name, source, float_.artifact, plain), float_.artifact))
        return self._analyst.isa(pairs, budget_s=WINNERS * seconds)
