"""What `scripts/bench workbench` does: races a published version against stock TensorFlow."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from workbench import hardware, probe, source
from workbench.backends import openvino
from workbench.configuration import Configuration
from workbench.dataset import SAMPLES, load
from workbench.measurement import Measurement
from workbench.metrics.contender import Contender, cooked, published, stock
from workbench.metrics.contest import Rounds, hold

ROOT = Path(__file__).resolve().parent.parent


def add_workbench(parser: argparse.ArgumentParser) -> None:
    """What is raced, on which frames, and for how long."""
    parser.add_argument("--model", default="deeplab", help="a model's name, or a frozen graph")
    parser.add_argument("--published", type=Path, help="the version to race; the model's newest by default")
    parser.add_argument("--data", type=Path, default=SAMPLES, help="frames")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--round-s", type=float, default=1.0, help="seconds of each contender in a round")
    parser.add_argument("--json", type=Path, default=ROOT / "build/bench/workbench.json")
    parser.set_defaults(run=race)


def race(options: argparse.Namespace) -> dict[str, Any]:
    """Stock TensorFlow, oneDNN on and off, OpenVINO's default of the uncut graph, and the published version."""
    described = source.find(options.model, ROOT / "models")
    graph = source.read(described) if described else probe.inspect(Path(options.model))
    winner = published(options.published or newest(ROOT / "models" / graph.name))
    contenders = [stock(graph), stock(graph, onednn=False), uncut(graph), winner]
    window = graph.framing
    pictures = [window.prepare(sample.pixels) for sample in load(options.data).shuffled(16)]
    print(f"racing {', '.join(item.name for item in contenders)} on {len(pictures)} frames, {options.rounds} rounds")
    rounds = hold(contenders, pictures, rounds=options.rounds, round_s=options.round_s)
    return figures(rounds, contenders, winner)


def figures(rounds: Rounds, contenders: list[Contender], winner: Contender) -> dict[str, Any]:
    """Medians with their intervals, and the winner's ratios round by round."""
    host = hardware.host()
    throughput = {
        item.name: Measurement.median("throughput", rounds.throughput[item.name], "frames/s", host)
        for item in contenders
    }
    fastest = max(contenders[:2], key=lambda item: throughput[item.name].value).name
    others = [item.name for item in contenders if item is not winner]
    ratios = {name: Measurement.median("ratio", rounds.ratios(winner.name, name), "×", host) for name in others}
    for name, item in throughput.items():
        print(f"  {name:26} {item}")
    for name, item in ratios.items():
        print(f"  {winner.name} over {name}: {item}{'  ← stock, the faster setting' if name == fastest else ''}")
    return {
        "winner": winner.name,
        "configuration": dataclasses.asdict(winner.configuration),
        "input": list(winner.framing.size),
        "fastest_stock": fastest,
        "speedup": plain(ratios[fastest]),
        "ratios": {name: plain(item) for name, item in ratios.items()},
        "throughput": {name: plain(item) for name, item in throughput.items()},
        "rounds": rounds.throughput,
    }


def plain(item: Measurement) -> dict[str, float | int | str]:
    """The measurement without its host, which is told once."""
    return {"value": item.value, "low": item.low, "high": item.high, "unit": item.unit, "samples": item.samples}


def uncut(graph: source.Source) -> Contender:
    """OpenVINO's own conversion of the whole graph, at its defaults but in float32 as the source is."""
    path = ROOT / "build/bench/uncut" / graph.digest[:16] / "graph.xml"
    artifact = openvino.save(openvino.convert(graph.path, shape=graph.shape), path)
    return cooked("OpenVINO, uncut", graph, artifact, Configuration(precision="f32"))


def newest(home: Path) -> Path:
    """The highest version in a model's folder."""
    versions = [int(path.name) for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    if not versions:
        raise SystemExit(f"{home}: no published version; workbench optimize publishes one")
    return home / str(max(versions))
