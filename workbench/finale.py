"""What follows the trials: the winner is tuned, looked at closely, published and reported."""

import dataclasses
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import judge
from workbench.artifact import GRAPH, WEIGHTS
from workbench.configuration import Configuration
from workbench.errors import BudgetError, MachineError, WorkbenchError
from workbench.estimate import OTHERS, WINNERS
from workbench.experiment import UNCUT, Experiment
from workbench.findings import Findings, Trial
from workbench.inspection import Inspection, Inspector
from workbench.metrics.contender import cooked
from workbench.publish import publish
from workbench.report import facts, html, table
from workbench.report.facts import Outcome, Terms
from workbench.report.run import FILE
from workbench.search import Plan
from workbench.store import Candidate

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Places:
    """Where things go: published models, run folders, and the facts once more."""

    models: Path
    runs: Path
    json: Path | None = None


def finish(experiment: Experiment, findings: Findings, terms: Terms, places: Places, console: "Console") -> Path:
    """Choose, tune, look, publish, report; the run's folder. Raises BudgetError, when that is told, without winner."""
    try:
        winner = judge.choose(findings.trials, terms.objective)
    except BudgetError:
        table.show(findings, None, console)
        folder = _folder(places.runs, experiment.source.name)
        _report(findings, terms, Outcome(None, None, experiment.progress.seconds), folder, places)
        console.print(f"reported in {folder / html.REPORT}", highlight=False, soft_wrap=True)
        raise
    look = Look(experiment, findings, winner)
    look.tune(terms.objective)
    folder = _folder(places.runs, experiment.source.name)
    inspection = look.inspect(folder)
    published = _publish(experiment, look.winner, folder, places)
    outcome = Outcome(look.winner, published, experiment.progress.seconds, inspection)
    report = _report(look.findings, terms, outcome, folder, places)
    table.show(look.findings, look.winner, console)
    for line in (f"reported in {report}", *_farewell(experiment, published)):
        console.print(line, highlight=False, soft_wrap=True)
    return folder


def _folder(runs: Path, name: str) -> Path:
    """The next number under the source's name; nobody else gets the same."""
    home = runs / name
    try:
        home.mkdir(parents=True, exist_ok=True)
        number = max((int(path.name) for path in home.iterdir() if path.name.isdecimal()), default=0)
        while True:
            number += 1
            try:
                (home / str(number)).mkdir()
            except FileExistsError:
                continue
            return home / str(number)
    except OSError as error:
        raise MachineError(f"{home}: can't be written ({error})") from error


def _publish(experiment: Experiment, winner: Trial, folder: Path, places: Places) -> Path:
    """A version for the service; of a graph whose answer isn't a mask, the IR in the run's folder."""
    if experiment.source.meaning == "person":
        return publish(winner, experiment.source, places.models)
    assert winner.candidate is not None
    target = folder / "winner"
    target.mkdir()
    for name in (GRAPH, WEIGHTS):
        shutil.copyfile(winner.candidate.artifact.path.parent / name, target / name)
    return target / GRAPH


def _farewell(experiment: Experiment, published: Path) -> tuple[str, ...]:
    took = f"in {experiment.progress.seconds:.0f} s"
    if experiment.source.meaning != "person":
        return (f"the winner is {published}, {took}; it isn't published: the service serves masks of people",)
    models = shlex.quote(str(published.parent.parent))
    return (f"published {published} {took}", f"serve it:  matting serve --models {models}")


def _report(findings: Findings, terms: Terms, outcome: Outcome, folder: Path, places: Places) -> Path:
    told = facts.facts(findings, terms, outcome)
    facts.write(told, folder / FILE)
    if places.json:
        facts.write(told, places.json)
    return html.write(folder)


class Look:
    """At the winner, which may come out of it run in another way."""

    def __init__(self, experiment: Experiment, findings: Findings, winner: Trial) -> None:
        self.findings = findings
        self.winner = winner
        self._experiment = experiment
        self._inspector = Inspector(
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
            order = self._experiment.cooking.order(Plan(recipe, Configuration()).draft())
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
        self._rows, faster = self._inspector.sweep(
            self.winner.name, self._cooked.artifact, base, budget_s=WINNERS * seconds, max_latency_ms=limit_ms
        )
        if self._uncut:
            name, plain = UNCUT["uncut"], replace(base, precision="f32")
            rows, _ = self._inspector.sweep(name, self._uncut.artifact, plain, budget_s=OTHERS * seconds)
            self._rows += rows
        if faster and Configuration(**faster) != base:
            self._rematch(Configuration(**faster), objective)

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

    def inspect(self, folder: Path) -> Inspection:
        """Layers before and after, older CPUs, masks."""
        winner, look = self.winner, self._inspector
        before = self._uncut or self._candidate("float")
        plain = Configuration(device=winner.configuration.device)
        return Inspection(
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
            plain = replace(winner.configuration, precision="f32")
            pairs.append((cooked(float_.recipe.name, source, float_.artifact, plain), float_.artifact))
        return self._inspector.isa(pairs, budget_s=WINNERS * seconds)
