"""What `scripts/bench workbench` does: races a published version, asks what it lost, and what each part brought."""

import argparse
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

import bench_cpus
from bench_accuracy import measure_disagreement, measure_intervals
from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench import hardware, source
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark.benchmark import Rounds, run_benchmark
from danmatte_workbench.budget import IOU_DROP
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.experiment.compare import compare_masks
from danmatte_workbench.experiment.search import parse_size
from danmatte_workbench.graph import probing, reshaping, surgery
from danmatte_workbench.metrics import MeanIoU
from danmatte_workbench.metrics.agreement import measure_iou_drop
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import Recipe, build_recipe, find_recipe
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import StepContext, make_step

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build/bench"
WIDE = "16:9"
PARTS = {
    "speed": "throughput against stock TensorFlow, in turn",
    "cpus": "masks under each instruction set",
    "intervals": "how often the other half of the pictures lies in the told interval",
    "disagreement": "how well agreement without labels predicts what labels say",
}
SHRINKING = frozenset({"prune", "distil"})


def add_workbench(parser: argparse.ArgumentParser) -> None:
    """What is raced, on which frames, and for how long."""
    parser.add_argument("--model", default="deeplab", help="a model's name, or a frozen graph")
    parser.add_argument("--published", type=Path, help="the version to race; the model's newest by default")
    parser.add_argument("--data", type=Path, default=SAMPLES, help="frames, with masks where losses are to be told")
    parser.add_argument("--wide-data", type=Path, action="append", default=[], help="16:9 frames with masks")
    parser.add_argument("--calibration", type=Path, help="frames for the baselines in 8 bits; --data by default")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds of each contender in a round")
    parser.add_argument("--json", type=Path, default=BUILT / "workbench.json")
    told = "; ".join(f"{name}: {says}" for name, says in PARTS.items())
    parser.add_argument("--part", choices=PARTS, default="speed", help=told)
    parser.add_argument(
        "--frames", type=int, default=0, help="at most so many, of the parts cpus and disagreement; 0 for all"
    )
    parser.add_argument("--folders", type=Path, action="append", default=[], help="of accuracy: labelled frames")
    parser.add_argument("--graph", action="append", default=[], help="of disagreement: further graphs")
    parser.add_argument("--recipes", action="append", default=[], help="of accuracy: instead of the usual ones")
    parser.add_argument("--runs", type=int, default=10, help="of intervals: random halves")
    parser.set_defaults(run=run_part)


def run_part(options: argparse.Namespace) -> dict[str, Any]:
    """The part that was asked for."""
    if options.part == "cpus":
        return bench_cpus.measure_cpus(options, options.published or newest(ROOT / "models" / options.model))
    parts = {"speed": race, "intervals": measure_intervals, "disagreement": measure_disagreement}
    return parts[options.part](options)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Stock TensorFlow twice, OpenVINO uncut twice, the version without its pruning, itself, and itself in 16:9."""
    described = source.find(options.model, ROOT / "models")
    graph = source.read(described) if described else probing.inspect(Path(options.model))
    folder = options.published or newest(ROOT / "models" / graph.name)
    winner = dataclasses.replace(Subject.from_published(folder), canvas=graph.size)
    broad = wide(winner, graph.size)
    data = load(options.data)
    calibration = load(options.calibration) if options.calibration else data
    context = StepContext(graph, calibration, BUILT / "unfinished")
    plain = configure(precision="f32")
    subjects = [
        Subject.from_source(graph),
        Subject.from_source(graph, onednn=False),
        *(baseline(find_recipe(name, graph), context, plain) for name in ("uncut", "uncut-int8")),
        *unpruned(folder, context, winner),
        winner,
        broad,
    ]
    frames = [frame.pixels for frame in data.pick(16)]
    print(f"racing {', '.join(item.name for item in subjects)} on {len(frames)} frames, {options.rounds} rounds")
    rounds = run_benchmark(subjects, frames, rounds=options.rounds, round_s=options.round_s)
    host = hardware.describe_host()
    found = figures(rounds, subjects, winner, host)
    found["lost"] = lost(subjects, [options.data], host, but=(broad.name,)) if data.labelled else {}
    if options.wide_data:
        found["lost_wide"] = lost([subjects[0], winner, broad], options.wide_data, host)
    return found


def make(recipe: Recipe, context: StepContext) -> Artifact:
    """Build the recipe."""
    artifact, _ = build_recipe(recipe, context, BUILT / "made" / recipe.name / "graph.xml")
    return artifact


def baseline(recipe: Recipe, context: StepContext, configuration: Configuration) -> Subject:
    """The recipe's graph under the name that runs show it by."""
    return Subject.from_artifact(recipe.baseline, context.source, make(recipe, context), configuration)


def unpruned(folder: Path, context: StepContext, winner: Subject) -> Iterable[Subject]:
    """The version as it would be without pruning and what followed from it; none where it has none."""
    recipe = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["recipe"]
    kept = [step for step in recipe["steps"] if step["kind"] not in SHRINKING]
    if len(kept) < len(recipe["steps"]):
        steps = tuple(make_step(step["kind"], step["fields"], context.source) for step in kept)
        whole = dataclasses.replace(find_recipe("float", context.source), name="unpruned", steps=steps, exact=False)
        plain = Subject.from_artifact("unpruned", context.source, make(whole, context), winner.configuration)
        yield dataclasses.replace(plain, canvas=winner.canvas)


def wide(winner: Subject, source: tuple[int, int]) -> Subject:
    """The version, reshaped to 16:9, for pictures that are the 16:9 of the source's."""
    size = parse_size(WIDE, winner.framing.size)
    model = openvino.read(winner.path)
    reshaping.reshape(model, size)
    artifact = openvino.save(model, BUILT / "made/wide/graph.xml")
    framing = dataclasses.replace(winner.framing, size=size)
    grid = surgery.read_grid(openvino.read(artifact.path))
    name, canvas = f"{winner.name} {WIDE}", parse_size(WIDE, source)
    return dataclasses.replace(winner, name=name, path=artifact.path, framing=framing, grid=grid, canvas=canvas)


def lost(
    subjects: Sequence[Subject], folders: Sequence[Path], host: Host, *, but: Sequence[str] = ()
) -> dict[str, Any]:
    """IoU of each and what it lost against the first one, the source itself, on all labelled frames of the folders."""
    scores = {
        item.name: [score for folder in folders for score in compare_masks(item, load(folder), None)]
        for item in subjects
        if item.name not in but and "oneDNN off" not in item.name
    }
    first = scores[subjects[0].name]
    told = {}
    for name, found in scores.items():
        iou = MeanIoU().measure(found, host)
        drop = measure_iou_drop(first, found, IOU_DROP, host)
        print(f"  {name:32} {iou}   lost {drop}")
        told[name] = {"mean_iou": plain(iou), IOU_DROP: plain(drop)}
    return told


def figures(rounds: Rounds, subjects: list[Subject], winner: Subject, host: Host) -> dict[str, Any]:
    """Medians with their intervals, and ratios round by round."""
    names = [item.name for item in subjects]
    throughput = {
        name: Measurement.estimate_median("throughput", rounds.throughput[name], "frames/s", host) for name in names
    }
    fastest = max(names[:2], key=lambda name: throughput[name].value)
    others = [name for name in names if name != winner.name]
    ratios = {
        name: Measurement.estimate_median("ratio", rounds.compute_ratios(winner.name, name), "×", host)
        for name in others
    }
    over_stock = {
        name: Measurement.estimate_median("ratio", rounds.compute_ratios(name, fastest), "×", host)
        for name in names[2:]
    }
    for name, item in throughput.items():
        print(f"  {name:32} {item}")
    for name, item in ratios.items():
        print(f"  {winner.name} over {name}: {item}{'  ← stock, the faster setting' if name == fastest else ''}")
    for name, item in over_stock.items():
        print(f"  {name} over {fastest}: {item}")
    return {
        "winner": winner.name,
        "configuration": structs.asdict(winner.configuration),
        "input": list(winner.framing.size),
        "fastest_stock": fastest,
        "speedup": plain(ratios[fastest]),
        "ratios": {name: plain(item) for name, item in ratios.items()},
        "over_stock": {name: plain(item) for name, item in over_stock.items()},
        "throughput": {name: plain(item) for name, item in throughput.items()},
        "rounds": rounds.throughput,
    }


def plain(item: Measurement) -> dict[str, float | int | str]:
    """The measurement without its host, which is told once."""
    return {"value": item.value, "low": item.low, "high": item.high, "unit": item.unit, "samples": item.samples}


def newest(home: Path) -> Path:
    """The highest version in a model's folder."""
    versions = [int(path.name) for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    if not versions:
        raise SystemExit(f"{home}: no published version; workbench optimize publishes one")
    return home / str(max(versions))
