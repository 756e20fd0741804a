"""``workbench optimize``: from a source graph to the published winner."""

import argparse
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.dataset import Dataset
    from workbench.source import Source

LABELLED_DROP, UNLABELLED_DROP = 0.5, 4.0
WIDTH = 110  # where there is no terminal to ask


def add(parser: argparse.ArgumentParser) -> None:
    """Source, frames, budget, objective, and where things go."""
    parser.add_argument("model", help="a model's name, such as deeplab, or a frozen TensorFlow graph")
    parser.add_argument("--data", type=Path, metavar="PATH", help="pictures with masks, pictures alone, or a video")
    parser.add_argument(
        "--calibration", type=Path, metavar="PATH", help="frames to calibrate on, if not part of --data"
    )
    parser.add_argument(
        "--max-iou-drop",
        type=float,
        metavar="POINTS",
        help=f"IoU that may be lost, in hundredths: {LABELLED_DROP} with masks; {UNLABELLED_DROP} without, "
        "when what is measured is disagreement with the source",
    )
    parser.add_argument("--max-latency-ms", type=float, metavar="MS", help="milliseconds that a frame may take")
    parser.add_argument("--objective", default="throughput", help="throughput or latency")
    parser.add_argument("--effort", default="standard", help="quick, standard or thorough")
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="where models are published; the project's by default"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there, too")
    parser.add_argument("--store", type=Path, metavar="DIR", help="where candidates are kept between runs")


def run(arguments: argparse.Namespace) -> int:
    """Cook, measure, choose, publish, report."""
    from rich.console import Console

    from workbench import judge
    from workbench.budget import Budget
    from workbench.errors import BudgetError
    from workbench.experiment import Experiment
    from workbench.publish import publish
    from workbench.report import facts, table
    from workbench.search import plan
    from workbench.source import models_folder

    started = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    effort = plan(arguments.effort)
    judge.check(arguments.objective)
    source = _source(arguments.model)
    data, calibration = _frames(arguments, effort.calibration)
    default_drop = LABELLED_DROP if data.labelled else UNLABELLED_DROP
    drop = default_drop if arguments.max_iou_drop is None else arguments.max_iou_drop
    experiment = Experiment(
        source=source,
        data=data.shuffled(effort.frames),
        calibration=calibration.shuffled(effort.calibration),
        budget=Budget(drop, arguments.max_latency_ms),
        effort=effort,
        store=arguments.store or _cache() / "candidates",
        tell=lambda text: console.print(f"[{time.monotonic() - started:5.0f} s] {text}", highlight=False, markup=False),
    )
    findings = experiment.run()
    command = ["workbench", *sys.argv[1:]]
    try:
        winner = judge.choose(findings.trials, arguments.objective)
    except BudgetError:
        table.show(findings, None, console)
        if arguments.json:
            facts.write(facts.facts(findings, None, None, command), arguments.json)
        raise
    published = publish(winner, source, arguments.models or models_folder())
    table.show(findings, winner, console)
    if arguments.json:
        facts.write(facts.facts(findings, winner, published, command), arguments.json)
    console.print(f"published {published} in {time.monotonic() - started:.0f} s", highlight=False, soft_wrap=True)
    console.print(
        f"serve it:  matting serve --models {shlex.quote(str(published.parent.parent))}",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def _source(name: str) -> "Source":
    from workbench import probe, source

    described = source.find(name, source.models_folder())
    return source.read(described) if described else probe.inspect(Path(name))


def _frames(arguments: argparse.Namespace, calibration: int) -> tuple["Dataset", "Dataset"]:
    from workbench.dataset import SAMPLES, load

    data = load(arguments.data or SAMPLES)
    if arguments.calibration:
        return data, load(arguments.calibration)
    calibrate, compare = data.split(calibration)
    return compare, calibrate


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "danmatte"
