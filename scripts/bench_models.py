"""`scripts/bench models`: graphs by others in their framework, in OpenVINO uncut, and optimized by the workbench."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench import cli, hardware
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark.benchmark import Rounds, run_benchmark
from danmatte_workbench.commands import optimize
from danmatte_workbench.commands.terminal import make_console
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import load
from danmatte_workbench.errors import BudgetError, MachineError
from danmatte_workbench.experiment.portability import choose_portable
from danmatte_workbench.experiment.progress import Progress, make_display
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.run import ExperimentRun
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.publish import publish
from danmatte_workbench.recipe import build_recipe, find_recipe
from danmatte_workbench.report.facts import write
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.source import Source
from danmatte_workbench.steps import StepContext
from other_graphs import FRAMES, GRAPHS, OtherGraph, add_shared, describe_graph

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "build/bench/models"
STORED = ROOT / "docs/research/graphs"
OURS, UNCUT, ALIKE = "ours", "OpenVINO, uncut", "OpenVINO, uncut, run as ours"
BRIEF = Effort("quick", calibration=32, frames=300, rounds=5, round_s=0.25, limit_s=150.0, first_rounds=2, finalists=3)
RACED = 16


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add the options: which graphs, where they are, and how long each is searched and raced."""
    names = [graph.name for graph in GRAPHS]
    parser.add_argument("--graph", action="append", choices=names, help="only this graph; may be given several times")
    add_shared(parser, ROOT)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--round-s", type=float, default=0.4, help="seconds of each contender per round")
    parser.add_argument("--search-s", type=float, default=BRIEF.limit_s, help="seconds that a search may take")
    parser.add_argument("--search-only", action="store_true", help="don't race; a later call races what was found")
    parser.add_argument("--anew", action="store_true", help="measure stored graphs again")
    parser.add_argument("--stored", type=Path, default=STORED, help="folder for each graph's figures")
    parser.add_argument("--json", type=Path, default=WORK / "models.json", help="file for all figures of this call")
    parser.set_defaults(run=measure_models)


def measure_models(options: argparse.Namespace) -> dict[str, Any]:
    """Measure and store each graph; without ``--anew``, skip those that are stored."""
    measured = {}
    for graph in GRAPHS:
        stored = options.stored / f"{graph.name}.json"
        if (options.graph and graph.name not in options.graph) or (stored.exists() and not options.anew):
            continue
        print(f"== {graph.name}: {graph.title}", flush=True)
        if options.search_only:
            _, described = describe_graph(graph, options.shared, WORK)
            search(graph, described, FRAMES[graph.frames](options.shared, WORK), options.search_s)
            continue
        try:
            found = measure_graph(graph, options)
        except MachineError as error:  # a busy machine; the next call continues from what is stored
            print(f"{graph.name}: {error}", flush=True)
            continue
        write({"host": structs.asdict(hardware.describe_host()), **found}, stored)
        measured[graph.name] = found
        print(json.dumps(found.get("ratios", found.get("reason"))), flush=True)
    return {"graphs": measured}


def measure_graph(graph: OtherGraph, options: argparse.Namespace) -> dict[str, Any]:
    """Search, then race; return the figures, with the reason if no candidate keeps the limit."""
    host = hardware.describe_host()
    source, described = describe_graph(graph, options.shared, WORK)
    folders = FRAMES[graph.frames](options.shared, WORK)
    facts: dict[str, Any] = {
        "name": graph.name,
        "title": graph.title,
        "licence": graph.licence,
        "format": source.format,
        "size": list(source.size),
        "meanings": list(dict.fromkeys(kind.kind for kind in source.kinds)) or ["person"],
        "frames": graph.frames,
    }
    try:
        result, winner = search(graph, described, folders, options.search_s)
    except BudgetError as error:
        winner = None
        facts["reason"] = str(error)
    if winner:
        loss = next(item for item in winner.measurements if item.metric == result.budget.accuracy)
        facts |= {
            "limit": result.budget.limits[loss.metric],
            "loss": {"metric": loss.metric, **loss.numbers},
            "recipe": winner.recipe.name,
            "steps": [step.kind for step in winner.recipe.steps],
            "configuration": structs.asdict(winner.configuration),
            "compared_frames": result.frames,
            "levels": {item.level: item.measurement.numbers for item in winner.levels},
        }
        publish(winner, source, WORK / "published")
    subjects = list_contenders(source, winner, StepContext(source, load(*folders), WORK / "unfinished"))
    pictures = [frame.pixels for frame in load(*folders).pick(RACED)]
    print(f"racing {', '.join(item.name for item in subjects)}, {options.rounds} rounds", flush=True)
    rounds = run_benchmark(subjects, pictures, rounds=options.rounds, round_s=options.round_s)
    return facts | describe_rounds(rounds, host)


def search(graph: OtherGraph, described: Path, folders: list[Path], limit_s: float) -> tuple[ExperimentResult, Trial]:
    """Return the winner on this CPU under the default limit of the graph's meaning. Raises BudgetError without one."""
    effort = replace(BRIEF, limit_s=limit_s)
    data = [word for folder in folders for word in ("--data", str(folder))]
    recipes = [word for recipe in graph.recipes for word in ("--recipe", recipe)]
    words = ["optimize", str(described), "--for", "native", "--store", str(WORK / "store"), *data, *recipes]
    arguments = cli.make_parser().parse(words)
    experiment, limits = optimize.prepare(arguments, effort)
    console = make_console()
    optimize.show_source(experiment.source, experiment.budget, console, experiment.data)
    progress = Progress(make_display(console))
    try:
        run = ExperimentRun(experiment, Workspace(WORK / "store", limits, progress, deadline_s=effort.limit_s))
        return choose_portable(run, run.run())
    finally:
        progress.close()


def list_contenders(source: Source, winner: Trial | None, context: StepContext) -> list[Subject]:
    """Return the graph in its framework, in OpenVINO uncut at each precision of its defaults, and optimized."""
    stock = [Subject.from_stock(source), Subject.from_stock(source, onednn=False)]
    subjects = list({subject.name: subject for subject in stock}.values())
    uncut = build_uncut(source, context)
    for precision in ("f32", "bf16"):
        if precision in openvino.list_precisions():
            plain = configure(precision=precision)
            subjects.append(Subject.from_artifact(f"{UNCUT} {precision}", source, uncut, plain))
    if winner:
        subjects.append(Subject.from_artifact(ALIKE, source, uncut, winner.configuration))
        subjects.append(replace(winner.to_subject(source), name=OURS))
    return subjects


def build_uncut(source: Source, context: StepContext) -> Artifact:
    """Return OpenVINO's conversion of the whole graph."""
    artifact, _ = build_recipe(find_recipe("uncut", source), context, WORK / "uncut" / source.name / "graph.xml")
    return artifact


def describe_rounds(rounds: Rounds, host: Host) -> dict[str, Any]:
    """Return frames a second and milliseconds of each, and the ratios of ours to the faster setting of each other."""
    names = list(rounds.throughput)
    speeds = {
        name: Measurement.estimate_median("throughput", rounds.throughput[name], "frames/s", host) for name in names
    }
    waits = {
        name: Measurement.estimate_median("latency", rounds.latency_ms[name], "ms", host).numbers
        for name in names
        if rounds.latency_ms[name]
    }
    found: dict[str, Any] = {
        "throughput": {name: speed.numbers for name, speed in speeds.items()},
        "latency": waits,
        "rounds": rounds.throughput,
    }
    if OURS not in names:
        return found
    rivals = {
        "stock": [name for name in names if not name.startswith(UNCUT) and name != OURS],
        "uncut": [name for name in names if name.startswith(UNCUT) and name != ALIKE],
        "alike": [ALIKE],
    }
    found["fastest"] = {key: max(group, key=lambda name: speeds[name].value) for key, group in rivals.items()}
    found["ratios"] = {
        key: Measurement.estimate_median("ratio", rounds.compute_ratios(OURS, name), "×", host).numbers
        for key, name in found["fastest"].items()
    }
    return found
