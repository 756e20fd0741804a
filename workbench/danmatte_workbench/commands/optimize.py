"""``workbench optimize``: search for the best version of a source graph, and publish it."""

import argparse
import dataclasses
import math
import shlex
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.commands.reading_flags import add_reading, read_options
from danmatte_workbench.commands.run_places import Places, make_run_folder
from danmatte_workbench.commands.terminal import make_console
from danmatte_workbench.errors import BudgetError, InputError, MachineError, WorkbenchError

if TYPE_CHECKING:
    from rich.console import Console

    from danmatte_workbench.budget import Budget
    from danmatte_workbench.dataset import Dataset
    from danmatte_workbench.experiment.result import ExperimentResult
    from danmatte_workbench.experiment.run import Experiment, ExperimentRun
    from danmatte_workbench.experiment.search import Effort
    from danmatte_workbench.experiment.trial import Trial
    from danmatte_workbench.processes.limits import ProcessLimits
    from danmatte_workbench.report.facts import Invocation
    from danmatte_workbench.source import Source

LABELLED_DROP, UNLABELLED_DROP = 0.5, 2.0
KINDS = ("scores", "regression", "boxes", "regions", "embedding", "tensor")
TRIAL_S, TRIAL_MEMORY_GIB = 1800.0, 8.0


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: source, frames, budget, objective, limits, and output paths."""
    parser.add_argument("model", help="a model's name, such as deeplab, or a graph in any supported format")
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        metavar="PATH",
        help="pictures with masks, pictures alone, or a video; may be given several times, once for each kind of scene "
        "(default: the bundled samples)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="PATH",
        help="frames for calibration and distillation (default: a part of --data)",
    )
    parser.add_argument(
        "--max-iou-drop",
        type=_make_number("points of IoU, such as 0.5"),
        metavar="POINTS",
        help=f"maximum loss of IoU, in hundredths (default: {LABELLED_DROP} for data with masks; {UNLABELLED_DROP} for "
        "data without masks, where the disagreement with the source is measured)",
    )
    parser.add_argument(
        "--max-disagreement",
        type=_make_number("points, such as 1"),
        metavar="POINTS",
        help="maximum loss for graphs whose output isn't a mask of people, in the metric of the output's kind "
        "(default: the limit of that kind)",
    )
    parser.add_argument(
        "--meaning",
        action="append",
        default=[],
        metavar="[OUTPUT=]KIND",
        help=f"kind of an output: {', '.join(KINDS)}; regions:text names what a map shows; may be given once for each "
        "output (default: detected and printed)",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=_make_number("milliseconds"),
        metavar="MS",
        help="maximum latency of a frame in milliseconds (default: no limit)",
    )
    add_reading(parser)
    _add_effort(parser)
    _add_places(parser)


def _add_effort(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say what is tried, and for how long."""
    parser.add_argument(
        "--objective",
        default="balanced",
        help="balanced, throughput or latency; balanced is the highest throughput at a latency no worse than the "
        "source's (default: %(default)s)",
    )
    parser.add_argument("--effort", default="standard", help="quick, standard or thorough (default: %(default)s)")
    parser.add_argument(
        "--for",
        dest="target",
        default="portable",
        help="native or portable: keep the budget on this CPU only, or also under all older instruction sets that "
        "this CPU supports (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        metavar="WIDTHxHEIGHT",
        help="input size of a graph that accepts any, for other graphs an additional size to try; a ratio such as 16:9 "
        "is possible, too (default: none)",
    )
    parser.add_argument("--device", default="CPU", help="OpenVINO device, such as GPU or AUTO (default: %(default)s)")
    parser.add_argument(
        "--trial-s",
        type=_make_number("seconds"),
        default=TRIAL_S,
        metavar="S",
        help="time limit of a trial in seconds (default: %(default)g)",
    )
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME|FILE.toml",
        help="try only this recipe, given by name or as a TOML file; may be given several times (default: the "
        "recipes of the effort)",
    )
    parser.add_argument(
        "--trial-memory-gib",
        type=_make_number("GiB"),
        default=TRIAL_MEMORY_GIB,
        metavar="GIB",
        help="memory limit of a trial in GiB (default: %(default)g)",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder in which the winner is published (default: the checkout's models/, or ./models)",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="folder of the runs' reports (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="everything that was measured"))
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="folder in which trials are cached between runs (default: candidates/ in WORKBENCH_CACHE, or in "
        "~/.cache/danmatte)",
    )


def _make_number(what: str) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise argparse.ArgumentTypeError(f"expected {what}, received {text!r}")
        return value

    return number


def run(arguments: argparse.Namespace) -> int:
    """Run the search, publish the winner and write the report."""
    began = getattr(arguments, "began", time.monotonic())  # includes imports, which are slow on a busy machine
    return conduct(arguments, *prepare(arguments), began)


def prepare(arguments: argparse.Namespace, effort: "Effort | None" = None) -> "tuple[Experiment, ProcessLimits]":
    """Return the experiment that the arguments describe, and the limits of its trials.

    All arguments are validated here, before anything takes time. effort: replaces the one in the arguments.
    """
    from danmatte.contract.places import list_model_folders
    from danmatte_workbench import source as sources
    from danmatte_workbench.budget import Budget
    from danmatte_workbench.experiment import judge
    from danmatte_workbench.experiment.search import (
        SearchOptions,
        find_effort,
        parse_exact_size,
        parse_size,
        propose_trials,
    )
    from danmatte_workbench.graph import probing
    from danmatte_workbench.processes.limits import ProcessLimits
    from danmatte_workbench.runtimes import devices

    judge.check_objective(arguments.objective)
    limits = ProcessLimits(arguments.trial_s, arguments.trial_memory_gib)
    effort = effort or find_effort(arguments.effort)
    devices.check_device(arguments.device)
    # Limits that are invalid for every graph are refused before reading it, which shows which of the two applies.
    drop = LABELLED_DROP if arguments.max_iou_drop is None else arguments.max_iou_drop
    Budget(drop, arguments.max_latency_ms, arguments.max_disagreement)
    choose_places(arguments).check()
    described = sources.find(arguments.model, *list_model_folders())
    if described:
        source = sources.read(described)
    else:
        wanted = parse_exact_size(arguments.size) if arguments.size else None
        source = probing.inspect(Path(arguments.model), wanted, read_options(arguments))
    source = sources.override_meanings(source, tuple(arguments.meaning))
    sources.check_size(source)
    size = parse_size(arguments.size, source.size) if arguments.size else None
    size = None if size == source.size else size
    options = SearchOptions(arguments.device, size, arguments.objective, tuple(arguments.recipe), arguments.target)
    trials = propose_trials(source, effort, options)
    experiment = _make_experiment(arguments, source, effort, trials)
    return dataclasses.replace(experiment, levels=options.levels), limits


def conduct(
    arguments: argparse.Namespace, experiment: "Experiment", limits: "ProcessLimits", began: float | None = None
) -> int:
    """Run the experiment, publish the winner and write the report to the paths in the arguments.

    began: start of the effort's time, by the monotonic clock. Raises BudgetError if nothing met the budget, after the
    report is written, or if time ran out before there was any result.
    """
    from danmatte_workbench.experiment.progress import Progress, make_display
    from danmatte_workbench.experiment.run import ExperimentRun
    from danmatte_workbench.experiment.store import Workspace

    console = make_console()
    show_source(experiment.source, experiment.budget, console, experiment.data)
    progress = Progress(make_display(console), started=began)
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    places = choose_places(arguments)
    if namesake := places.describe_namesake(experiment.source.name, experiment.source.digest):
        console.print(namesake, highlight=False, soft_wrap=True)
    try:
        effort = experiment.effort
        workspace = Workspace(places.store, limits, progress, deadline_s=effort.limit_s)
        run = ExperimentRun(experiment, workspace)
        try:
            result = run.run()
        except MachineError as error:
            if progress.seconds < effort.limit_s:
                raise
            hint = "finished tasks are cached; use a higher --effort"
            raise BudgetError(f"out of time after {progress.seconds:.0f} s, {hint} ({error})") from error
        _finish(run, result, places, started, console)
    finally:
        progress.close()
    return 0


def choose_places(arguments: argparse.Namespace) -> Places:
    """Return the output paths in the arguments, with defaults for those that are missing."""
    from danmatte.contract.places import choose_models
    from danmatte_workbench.cache import find_cache_folder

    store = arguments.store or find_cache_folder() / "candidates"
    return Places(arguments.models or choose_models(), arguments.runs, store, arguments.json)


def _make_experiment(
    arguments: argparse.Namespace, source: "Source", effort: "Effort", trials: "tuple[Trial, ...]"
) -> "Experiment":
    """Return the experiment on the given frames. Without ``--calibration``, some of them are used for it."""
    from danmatte_workbench.dataset import SAMPLES, load
    from danmatte_workbench.experiment.run import Experiment
    from danmatte_workbench.metrics.agreement import label_kinds

    data = load(*(arguments.data or [SAMPLES]))
    if len(data) < 2:
        raise InputError("--data: expected at least two frames, because one says nothing about the loss on others")
    if arguments.calibration:
        calibration = load(arguments.calibration)
        if shared := calibration.find_shared(data):
            raise InputError(
                f"--calibration: {len(shared)} of its {len(calibration)} frames are in --data, too, such as "
                f"{shared[0]}; a graph is better on its calibration frames, so give others, or omit --calibration"
            )
    else:
        calibration, data = data.split(effort.calibration)
    data, calibration = data.pick(effort.frames), calibration.pick(effort.calibration)
    for frames in (data, calibration):
        frames.check()
    # Kinds of outputs that aren't masks of people; "tensor" if nothing is known about them.
    kinds = tuple(each.kind for each in source.kinds) or (() if source.meaning == "person" else ("tensor",))
    return Experiment(
        source=source,
        data=data,
        calibration=calibration,
        trials=trials,
        budget=_make_budget(arguments, label_kinds(kinds, data), labelled=data.labelled),
        effort=effort,
        objective=arguments.objective,
        device=arguments.device,
    )


def _make_budget(arguments: argparse.Namespace, kinds: tuple[str, ...], *, labelled: bool) -> "Budget":
    from danmatte_workbench.budget import Budget
    from danmatte_workbench.metrics.agreement import get_limit

    drop, disagreement = arguments.max_iou_drop, arguments.max_disagreement
    if not kinds:
        if disagreement is not None:
            raise InputError("--max-disagreement: this graph's output is a mask of people; use --max-iou-drop")
        default = LABELLED_DROP if labelled else UNLABELLED_DROP
        return Budget(default if drop is None else drop, arguments.max_latency_ms)
    if drop is not None:
        raise InputError("--max-iou-drop: this graph's output isn't a mask of people; use --max-disagreement")
    return Budget(None, arguments.max_latency_ms, get_limit(kinds) if disagreement is None else disagreement)


def show_source(source: "Source", budget: "Budget", console: "Console", data: "Dataset") -> None:
    """Print what was detected and assumed about the source, how its outputs are measured, and the limits."""
    from danmatte_workbench.metrics.agreement import label_kinds
    from danmatte_workbench.metrics.outputs import OutputMeasure

    for note in source.notes:
        console.print(f"{source.name}: {note}", highlight=False, soft_wrap=True)
    kinds = label_kinds([each.kind for each in source.kinds], data)
    for name, kind in zip(source.fetches, kinds, strict=False):
        about = OutputMeasure.all[kind].about
        console.print(f"{name} is measured as {kind}: {about}", highlight=False, soft_wrap=True)
    limits = ", ".join(f"{metric} at most {limit:g}" for metric, limit in budget.limits.items())
    console.print(f"limits: {limits}", highlight=False, soft_wrap=True)


def _finish(run: "ExperimentRun", result: "ExperimentResult", places: Places, started: str, console: "Console") -> None:
    """Choose, tune, inspect and publish the winner, and write the report.

    Raises BudgetError, after the report is written, if there is no winner.
    """
    from danmatte_workbench.experiment import judge
    from danmatte_workbench.experiment.portability import settle_portable
    from danmatte_workbench.experiment.winner import WinnerStudy
    from danmatte_workbench.publish import publish
    from danmatte_workbench.report import run_page, trial_table
    from danmatte_workbench.report.facts import Invocation

    source, progress = run.experiment.source, run.workspace.progress
    result = settle_portable(run, result)
    command = ("workbench", *sys.argv[1:])
    try:
        winner = judge.choose(result.trials, result.objective)
    except BudgetError as error:
        trial_table.show(result, console)
        folder = make_run_folder(places.runs / source.name)
        _report(result, Invocation(command, started, progress.seconds), folder, places)
        console.print(f"reported in {folder / run_page.REPORT}", highlight=False, soft_wrap=True)
        raise BudgetError(str(error).partition("\n")[0]) from error  # all reasons are in the printed table
    study = WinnerStudy(run, result, winner)
    study.tune()
    folder = make_run_folder(places.runs / source.name)
    result = study.inspect(folder / "masks")
    assert result.winner is not None
    try:
        published = publish(result.winner, source, places.models, study.store_answers())
    except WorkbenchError:
        _report(result, Invocation(command, started, progress.seconds), folder, places)  # keep the results
        raise
    report = _report(result, Invocation(command, started, progress.seconds, published), folder, places)
    trial_table.show(result, console)
    lines = [f"reported in {report}", f"published {published} in {progress.seconds:.0f} s"]
    lines.append(f"serve it:  danmatte serve --models {shlex.quote(str(published.parent.parent))}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _report(result: "ExperimentResult", invocation: "Invocation", folder: Path, places: Places) -> Path:
    from danmatte_workbench.report import facts, run_page
    from danmatte_workbench.report.records import FILE

    described = facts.describe_run(result, invocation)
    facts.write(described, folder / FILE)
    if places.json:
        facts.write(described, places.json)
    return run_page.write_report(folder)
