"""How ``optimize`` ends: the winner is tuned and looked at, published and reported."""

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from danmatte.contract.artifact import GRAPH, WEIGHTS
from danmatte_workbench.errors import BudgetError, MachineError
from danmatte_workbench.experiment import judge
from danmatte_workbench.experiment.experiment import Experiment
from danmatte_workbench.experiment.findings import Findings, Trial
from danmatte_workbench.experiment.winner import Look
from danmatte_workbench.publish import publish
from danmatte_workbench.report import facts, run_page, trial_table
from danmatte_workbench.report.facts import Outcome, Terms
from danmatte_workbench.report.records import FILE

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
        trial_table.show(findings, None, console)
        folder = _folder(places.runs, experiment.source.name)
        _report(findings, terms, Outcome(None, None, experiment.progress.seconds), folder, places)
        console.print(f"reported in {folder / run_page.REPORT}", highlight=False, soft_wrap=True)
        raise
    look = Look(experiment, findings, winner)
    look.tune(terms.objective)
    folder = _folder(places.runs, experiment.source.name)
    analysis = look.inspect(folder)
    published = _publish(experiment, look.winner, folder, places)
    outcome = Outcome(look.winner, published, experiment.progress.seconds, analysis)
    report = _report(look.findings, terms, outcome, folder, places)
    trial_table.show(look.findings, look.winner, console)
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
    return (f"published {published} {took}", f"serve it:  danmatte serve --models {models}")


def _report(findings: Findings, terms: Terms, outcome: Outcome, folder: Path, places: Places) -> Path:
    told = facts.facts(findings, terms, outcome)
    facts.write(told, folder / FILE)
    if places.json:
        facts.write(told, places.json)
    return run_page.write_report(folder)
