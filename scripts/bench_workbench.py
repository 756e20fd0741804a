"""What `scripts/bench workbench` does: races a published version, asks what it lost, and what each part brought."""

import argparse
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench import hardware, source
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark.interleaved import Rounds, hold
from danmatte_workbench.budget import IOU_DROP
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.experiment.answers import compare
from danmatte_workbench.experiment.search import size_of
from danmatte_workbench.graph import probing, reshaping, surgery
from danmatte_workbench.metrics import accuracy
from danmatte_workbench.metrics.contender import Contender, cooked, published, stock
from danmatte_workbench.recipe import RECIPES, Draft, read
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps import StepContext, refine
from danmatte_workbench.steps.base import build

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build/bench"
WIDE = "16:9"
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
    parser.set_defaults(run=race)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Stock TensorFlow twice, OpenVINO uncut twice, the version without its pruning, itself, and itself in 16:9."""
    described = source.find(options.model, ROOT / "models")
    graph = source.read(described) if described else probing.inspect(Path(options.model))
    folder = options.published or newest(ROOT / "models" / graph.name)
    winner = dataclasses.replace(published(folder), canvas=graph.size)
    broad = wide(winner, graph.size)
    data = load(options.data)
    calibration = load(options.calibration) if options.calibration else data
    context = StepContext(graph, calibration, BUILT / "unfinished")
    plain = configure(precision="f32")
    contenders = [
        stock(graph),
        stock(graph, onednn=False),
        cooked("OpenVINO, uncut", graph, made(read(RECIPES / "uncut.toml"), context), plain),
        cooked("OpenVINO, uncut, NNCF defaults", graph, made(read(RECIPES / "uncut-int8.toml"), context), plain),
        *unpruned(folder, context, winner),
        winner,
        broad,
    ]
    frames = [sample.pixels for sample in data.shuffled(16)]
    print(f"racing {', '.join(item.name for item in contenders)} on {len(frames)} frames, {options.rounds} rounds")
    rounds = hold(contenders, frames, rounds=options.rounds, round_s=options.round_s)
    host = hardware.host()
    found = figures(rounds, contenders, winner, host)
    found["lost"] = lost(contenders, [options.data], host, but=(broad.name,)) if data.labelled else {}
    if options.wide_data:
        found["lost_wide"] = lost([contenders[0], winner, broad], options.wide_data, host)
    return found


def made(draft: Draft, context: StepContext) -> Artifact:
    """The recipe, cooked."""
    artifact, _ = build(refine(draft, context.source), context, BUILT / "made" / draft.name / "graph.xml")
    return artifact


def unpruned(folder: Path, context: StepContext, winner: Contender) -> Iterable[Contender]:
    """The version as it would be without pruning and what followed from it; none where it has none."""
    recipe = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["recipe"]
    steps = tuple((step["kind"], step["fields"]) for step in recipe["steps"] if step["kind"] not in SHRINKING)
    if len(steps) < len(recipe["steps"]):
        artifact = made(Draft("unpruned", "", steps), context)
        plain = cooked("unpruned", context.source, artifact, winner.configuration)
        yield dataclasses.replace(plain, canvas=winner.canvas)


def wide(winner: Contender, source: tuple[int, int]) -> Contender:
    """The version, reshaped to 16:9, for pictures that are the 16:9 of the source's."""
    size = size_of(WIDE, winner.framing.size)
    model = openvino.read(winner.path)
    reshaping.reshape(model, size)
    artifact = openvino.save(model, BUILT / "made/wide/graph.xml")
    framing = dataclasses.replace(winner.framing, size=size)
    grid = surgery.read_grid(openvino.read(artifact.path))
    name, canvas = f"{winner.name} {WIDE}", size_of(WIDE, source)
    return dataclasses.replace(winner, name=name, path=artifact.path, framing=framing, grid=grid, canvas=canvas)


def lost(
    contenders: Sequence[Contender], folders: Sequence[Path], host: Host, *, but: Sequence[str] = ()
) -> dict[str, Any]:
    """IoU of each and what it lost against the first one, the source itself, on all labelled frames of the folders."""
    scores = {
        item.name: [score for folder in folders for score in compare(item, load(folder), None)]
        for item in contenders
        if item.name not in but and "oneDNN off" not in item.name
    }
    first = scores[contenders[0].name]
    told = {}
    for name, found in scores.items():
        iou = accuracy.Metric.all["mean_iou"].measure(found, host)
        drop = accuracy.drop(first, found, IOU_DROP, host)
        print(f"  {name:32} {iou}   lost {drop}")
        told[name] = {"mean_iou": plain(iou), IOU_DROP: plain(drop)}
    return told


def figures(rounds: Rounds, contenders: list[Contender], winner: Contender, host: Host) -> dict[str, Any]:
    """Medians with their intervals, and ratios round by round."""
    names = [item.name for item in contenders]
    throughput = {name: Measurement.median("throughput", rounds.throughput[name], "frames/s", host) for name in names}
    fastest = max(names[:2], key=lambda name: throughput[name].value)
    others = [name for name in names if name != winner.name]
    ratios = {name: Measurement.median("ratio", rounds.ratios(winner.name, name), "×", host) for name in others}
    over_stock = {name: Measurement.median("ratio", rounds.ratios(name, fastest), "×", host) for name in names[2:]}
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
