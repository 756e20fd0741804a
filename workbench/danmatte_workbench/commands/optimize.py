"""``workbench optimize``: from a source graph to the published winner."""

import argparse
import math
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from danmatte.contract.command_line import JSON_HELP

if TYPE_CHECKING:
    from danmatte_workbench.budget import Budget
    from danmatte_workbench.dataset import Dataset
    from danmatte_workbench.experiment.experiment import Experiment
    from danmatte_workbench.experiment.progress import Progress
    from danmatte_workbench.experiment.search import Effort, Wish
    from danmatte_workbench.source import Source

LABELLED_DROP, UNLABELLED_DROP, DISAGREEMENT = 0.5, 4.0, 1.0
TRIAL_S, TRIAL_MEMORY_GIB = 1800.0, 8.0
LEAST_CALIBRATION = 32
WIDTH = 110  # where there is no terminal to ask


def add(parser: argparse.ArgumentParser) -> None:
    """Source, frames, budget, objective, limits, and where things go."""
    parser.add_argument("model", help="a model's name, such as deeplab, or a graph in any of the formats")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="pictures with masks, pictures alone, or a video (default: the samples that come with it)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="PATH",
        help="frames to calibrate and to teach on (default: a part of --data)",
    )
    parser.add_argument(
        "--max-iou-drop",
        type=_number("points of IoU, such as 0.5"),
        metavar="POINTS",
        help=f"IoU that may be lost, in hundredths (default: {LABELLED_DROP} for data with masks; {UNLABELLED_DROP} "
        "without, where disagreement with the source is measured)",
    )
    parser.add_argument(
        "--max-disagreement",
        type=_number("points, such as 1"),
        metavar="POINTS",
        help="cosine distance of tensors, in hundredths, of graphs whose answer isn't a mask "
        f"(default: {DISAGREEMENT})",
    )
    parser.add_argument(
        "--max-latency-ms",
        type=_number("milliseconds"),
        metavar="MS",
        help="milliseconds that a frame may take (default: no limit)",
    )
    _add_effort(parser)
    _add_places(parser)


def _add_effort(parser: argparse.ArgumentParser) -> None:
    """What is tried, and for how long."""
    parser.add_argument("--objective", default="throughput", help="throughput or latency (default: %(default)s)")
    parser.add_argument("--effort", default="standard", help="quick, standard or thorough (default: %(default)s)")
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="try this input size, too; 16:9 will do (default: none)")
    parser.add_argument(
        "--device", default="CPU", help="any of OpenVINO's devices, such as GPU or AUTO (default: %(default)s)"
    )
    parser.add_argument(
        "--trial-s",
        type=_number("seconds"),
        default=TRIAL_S,
        metavar="S",
        help="seconds that a trial may take (default: %(default)g)",
    )
    parser.add_argument(
        "--recipe",
        action="append",
        default=[],
        metavar="NAME",
        help="try only this recipe; may be given several times (default: those of the effort)",
    )
    parser.add_argument(
        "--trial-memory-gib",
        type=_number("GiB"),
        default=TRIAL_MEMORY_GIB,
        metavar="GIB",
        help="memory that a trial may take (default: %(default)g)",
    )


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="where the winner is published (default: a checkout's models/, or ./models)",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are reported (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="everything that was measured"))
    parser.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help="where trials are kept between runs (default: ~/.cache/danmatte/candidates)",
    )


def _number(what: str) -> Callable[[str], float]:
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
    """Cook, measure, choose, publish, report."""
    return conduct(arguments, None)


def conduct(arguments: argparse.Namespace, effort: "Effort | None") -> int:
    """The same with an effort of one's own making."""
    from rich.console import Console

    from danmatte.contract.places import choose_models
    from danmatte_workbench.commands.finish import Places, finish
    from danmatte_workbench.experiment.progress import Progress, display
    from danmatte_workbench.report.facts import Terms

    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    progress = Progress(display(console))
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        experiment = _experiment(arguments, effort, progress)
        findings = experiment.run()
        terms = Terms(("workbench", *sys.argv[1:]), started, arguments.objective, experiment.effort.name)
        places = Places(arguments.models or choose_models(), arguments.runs, arguments.json)
        finish(experiment, findings, terms, places, console)
    finally:
        progress.close()
    return 0


def _experiment(arguments: argparse.Namespace, effort: "Effort | None", progress: "Progress") -> "Experiment":
    """Everything that can be wrong with what was asked for is found here, before anything takes time."""
    from danmatte_workbench.experiment import judge
    from danmatte_workbench.experiment.experiment import Experiment
    from danmatte_workbench.experiment.search import plan
    from danmatte_workbench.processes.limits import ProcessLimits
    from danmatte_workbench.runtimes import devices

    judge.check(arguments.objective)
    limits = ProcessLimits(arguments.trial_s, arguments.trial_memory_gib)
    plan(arguments.effort)
    devices.check_device(arguments.device)
    _budget(arguments, "person", labelled=True)
    source = _source(arguments.model)
    effort = effort or plan(arguments.effort, _wish(arguments, source))
    data, calibration = _frames(arguments, effort.calibration)
    return Experiment(
        source=source,
        data=data.shuffled(effort.frames),
        calibration=calibration.shuffled(effort.calibration),
        budget=_budget(arguments, source.meaning, labelled=data.labelled),
        effort=effort,
        objective=arguments.objective,
        store=arguments.store or _cache() / "candidates",
        limits=limits,
        progress=progress,
        device=arguments.device,
    )


def _wish(arguments: argparse.Namespace, source: "Source") -> "Wish":
    from danmatte_workbench.experiment.search import Wish, size_of

    size = size_of(arguments.size, source.size) if arguments.size else None
    return Wish(source.meaning, arguments.device, size, arguments.objective, tuple(arguments.recipe))


def _budget(arguments: argparse.Namespace, meaning: str, *, labelled: bool) -> "Budget":
    from danmatte_workbench.budget import Budget
    from danmatte_workbench.errors import InputError

    drop, disagreement = arguments.max_iou_drop, arguments.max_disagreement
    if meaning == "person":
        default = LABELLED_DROP if labelled else UNLABELLED_DROP
        return Budget(default if drop is None else drop, arguments.max_latency_ms, disagreement)
    if drop is not None:
        raise InputError("--max-iou-drop: this graph's answer isn't a mask of people; say --max-disagreement")
    return Budget(None, arguments.max_latency_ms, DISAGREEMENT if disagreement is None else disagreement)


def _source(name: str) -> "Source":
    from danmatte.contract.places import list_model_folders
    from danmatte_workbench import source
    from danmatte_workbench.graph import probing

    described = source.find(name, *list_model_folders())
    return source.read(described) if described else probing.inspect(Path(name))


def _frames(arguments: argparse.Namespace, calibration: int) -> tuple["Dataset", "Dataset"]:
    """To compare on and to calibrate on: a third of the frames are taken for the latter, where none are given."""
    from danmatte_workbench.dataset import SAMPLES, load

    data = load(arguments.data or SAMPLES)
    if arguments.calibration:
        return data, load(arguments.calibration)
    calibrate, compare = data.split(min(calibration, max(LEAST_CALIBRATION, len(data) // 3)))
    return compare, calibrate


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "danmatte"
