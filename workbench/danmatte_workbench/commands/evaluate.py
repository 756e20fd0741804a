"""``workbench evaluate``: masks against the truth, by kind of scene."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from danmatte.contract.measurement import Host, Measurement
    from danmatte_workbench.metrics.accuracy import Score
    from danmatte_workbench.metrics.contender import Contender

METRICS = ("mean_iou", "pooled_iou", "boundary_iou", "false_positives")


def add(parser: argparse.ArgumentParser) -> None:
    """Model and data."""
    parser.add_argument(
        "model", help="a model's name, NAME/VERSION of a published one, its folder, or a graph in any of the formats"
    )
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        required=True,
        metavar="DIR",
        help="pictures with masks (images/, masks/); may be given several times",
    )
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="where published models are (default: ./models, a checkout's, the bundled one)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="the figures"))


def run(arguments: argparse.Namespace) -> int:
    """Print a row for each kind of scene and one for each dataset; kinds are what names begin with, ``kind_…``."""
    from rich.console import Console

    from danmatte.contract.places import list_model_folders
    from danmatte_workbench import hardware
    from danmatte_workbench.report import facts

    host = hardware.host()
    contender = _contender(arguments.model, [arguments.models] if arguments.models else list_model_folders())
    figures = {}
    for folder in arguments.data:
        scores = _scores(contender, folder)
        kinds: dict[str, list[Score]] = {}
        for item in scores:
            kinds.setdefault(item.name.split("_")[0] if "_" in item.name else "", []).append(item)
        if len(kinds) > 1:
            figures.update({f"{folder.name}: {kind}": _measure(kinds[kind], host) for kind in sorted(kinds)})
        figures[folder.name] = _measure(scores, host)
    _show(figures, contender.name, Console())
    if arguments.json:
        facts.write(_facts(arguments.model, figures, host), arguments.json)
    return 0


def _scores(contender: "Contender", folder: Path) -> "list[Score]":
    from rich.progress import track

    from danmatte_workbench.dataset import load
    from danmatte_workbench.metrics.accuracy import score

    data = load(folder)
    if not data.labelled:
        raise InputError(f"{folder}: expected masks/ beside images/, to compare with")
    masks = track(contender.masks(data), total=len(data), description=folder.name, transient=True)
    return [score(sample.name, mask, sample.truth) for sample, mask in masks if sample.truth is not None]


def _measure(scores: "list[Score]", host: "Host") -> "dict[str, Measurement]":
    from danmatte_workbench.metrics.accuracy import Metric

    metrics = (Metric.all[kind] for kind in METRICS)
    return {
        metric.kind: metric.measure(scores, host) for metric in metrics if any(metric.counts(item) for item in scores)
    }


def _contender(name: str, folders: list[Path]) -> "Contender":
    from danmatte_workbench import source
    from danmatte_workbench.graph import probing
    from danmatte_workbench.metrics.contender import published, stock

    for folder in (*(models / name for models in folders), Path(name)):
        if (folder / "manifest.json").exists():
            return published(folder)
    described = source.find(name, *folders)
    found = source.read(described) if described else probing.inspect(Path(name))
    for note in found.notes:
        print(f"{found.path}: {note}")
    if found.meaning != "person":
        raise InputError(f"{found.path}: expected a graph whose answer is a mask of people, to compare with masks")
    return stock(found)


def _show(figures: "dict[str, dict[str, Measurement]]", name: str, console: Any) -> None:
    from rich.table import Table

    table = Table(title=name, title_justify="left")
    table.add_column("scenes")
    for heading in ("pictures", "mean IoU", "pooled IoU", "boundary IoU", "false positives, %"):
        table.add_column(heading, justify="right")
    for label, found in figures.items():
        pictures = str(found["mean_iou"].samples) if "mean_iou" in found else "–"
        cells = [f"{found[kind].value:.4f}" if kind in found else "–" for kind in METRICS]
        table.add_row(label, pictures, *cells)
    console.print(table)


def _facts(model: str, figures: "dict[str, dict[str, Measurement]]", host: "Host") -> dict[str, Any]:

    numbers = {
        label: {
            kind: {
                "value": item.value,
                "low": item.low,
                "high": item.high,
                "unit": item.unit,
                "samples": item.samples,
            }
            for kind, item in found.items()
        }
        for label, found in figures.items()
    }
    return {"model": model, "host": structs.asdict(host), "scenes": numbers}
