"""`scripts/bench workbench`: speed and loss of a published version, and the gain of each step."""

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
    "speed": "throughput compared with stock TensorFlow, in alternating rounds",
    "cpus": "masks under each instruction set",
    "intervals": "how often a reported interval contains the loss on other pictures",
    "disagreement": "how well disagreement with the source predicts the loss against labels",
}
SHRINKING = frozenset({"prune", "distil"})


def add_workbench(parser: argparse.ArgumentParser) -> None:
    """Add the options: what is raced, on which frames, and how long."""
    parser.add_argument("--model", default="deeplab", help="a model's name, or a frozen graph")
    parser.add_argument("--published", type=Path, help="version to race; by default the model's newest")
    parser.add_argument("--data", type=Path, default=SAMPLES, help="frames; with masks if losses are to be measured")
    parser.add_argument("--wide-data", type=Path, action="append", default=[], help="16:9 frames with masks")
    parser.add_argument("--calibration", type=Path, help="frames to calibrate 8-bit baselines on; by default --data")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds of each contender per round")
    parser.add_argument("--json", type=Path, default=BUILT / "workbench.json")
    told = "; ".join(f"{name}: {says}" for name, says in PARTS.items())
    parser.add_argument("--part", choices=PARTS, default="speed", help=told)
    parser.add_argument(
        "--frames", type=int, default=0, help="maximum number of frames for cpus and disagreement; 0 for all"
    )
    parser.add_argument(
        "--folders", type=Path, action="append", default=[], help="labelled frames for intervals and disagreement"
    )
    parser.add_argument("--graph", action="append", default=[], help="further graphs for disagreement")
    parser.add_argument(
        "--recipes",
        action="append",
        default=[],
        help="recipes for intervals and disagreement, instead of the default ones",
    )
    parser.add_argument("--runs", type=int, default=10, help="number of random halves for intervals")
    parser.set_defaults(run=run_part)


def run_part(options: argparse.Namespace) -> dict[str, Any]:
    """Run the requested part."""
    if options.part == "cpus":
        return bench_cpus.measure_cpus(options, options.published or newest(ROOT / "models" / options.model))
    parts = {"speed": race, "intervals": measure_intervals, "disagreement": measure_disagreement}
    return parts[options.part](options)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Race two settings of stock TensorFlow, two of OpenVINO uncut, and the version: unpruned, unchanged, in 16:9."""
    described = source.find(options.model, ROOT / "models")
    graph = source.read(described) if described else probing.inspect(Path(options.model))
    folder = options.published or newest(ROOT / "models" / graph.name)
    winner = dataclasses.replace(Subject.from_published(folder), canvas=graph.size)
    broad = reshape_wide(winner, graph.size)
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
    found = describe_rounds(rounds, subjects, winner, host)
    found["lost"] = measure_losses(subjects, [options.data], host, but=(broad.name,)) if data.labelled else {}
    if options.wide_data:
        found["lost_wide"] = measure_losses([subjects[0], winner, broad], options.wide_data, host)
    return found


def make(recipe: Recipe, context: StepContext) -> Artifact:
    """Build the recipe's graph."""
    artifact, _ = build_recipe(recipe, context, BUILT / "made" / recipe.name / "graph.xml")
    return artifact


def baseline(recipe: Recipe, context: StepContext, configuration: Configuration) -> Subject:
    """Return the recipe's graph under the name that runs show."""
    return Subject.from_artifact(recipe.baseline, context.source, make(recipe, context), configuration)


def unpruned(folder: Path, context: StepContext, winner: Subject) -> Iterable[Subject]:
    """Yield the version built without pruning and distillation; nothing if it has neither."""
    recipe = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["recipe"]
    kept = [step for step in recipe["steps"] if step["kind"] not in SHRINKING]
    if len(kept) < len(recipe["steps"]):
        steps = tuple(make_step(step["kind"], step["fields"], context.source) for step in kept)
        whole = dataclasses.replace(find_recipe("float", context.source), name="unpruned", steps=steps, exact=False)
        plain = Subject.from_artifact("unpruned", context.source, make(whole, context), winner.configuration)
        yield dataclasses.replace(plain, canvas=winner.canvas)


def reshape_wide(winner: Subject, source: tuple[int, int]) -> Subject:
    """Return the version reshaped to 16:9, for pictures of the source's size changed to 16:9."""
    size = parse_size(WIDE, winner.framing.size)
    model = openvino.read(winner.path)
    reshaping.reshape(model, size)
    artifact = openvino.save(model, BUILT / "made/wide/graph.xml")
    framing = dataclasses.replace(winner.framing, size=size)
    grid = surgery.read_grid(openvino.read(artifact.path))
    name, canvas = f"{winner.name} {WIDE}", parse_size(WIDE, source)
    return dataclasses.replace(winner, name=name, path=artifact.path, framing=framing, grid=grid, canvas=canvas)


def measure_losses(
    subjects: Sequence[Subject], folders: Sequence[Path], host: Host, *, but: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the IoU of each and its loss compared with the first, the source, on all frames of the folders."""
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


def describe_rounds(rounds: Rounds, subjects: list[Subject], winner: Subject, host: Host) -> dict[str, Any]:
    """Return medians with their intervals, and ratios by round."""
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
    """Return the measurement without its host, which is stored once for all."""
    return {"value": item.value, "low": item.low, "high": item.high, "unit": item.unit, "samples": item.samples}


def newest(home: Path) -> Path:
    """Return the folder of a model's highest version. Raises SystemExit if there is none."""
    versions = [int(path.name) for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    if not versions:
        raise SystemExit(f"{home}: no published version; workbench optimize publishes one")
    return home / str(max(versions))
