"""``workbench evaluate``: score masks against true masks, by kind of scene."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.commands.terminal import make_console
from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from danmatte.contract.measurement import Host, Measurement
    from danmatte_workbench.dataset import Dataset
    from danmatte_workbench.metrics import Score
    from danmatte_workbench.metrics.subject import Subject


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: model and data."""
    parser.add_argument(
        "model", help="a model's name, NAME/VERSION of a published one, its folder, or a graph in any supported format"
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
        help="folder of published models (default: ./models, the checkout's, and the bundled ones)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="the figures"))


def run(arguments: argparse.Namespace) -> int:
    """Print a row for each kind of scene in a dataset, and one for each dataset."""
    from danmatte.contract.places import list_model_folders
    from danmatte_workbench import hardware
    from danmatte_workbench.dataset import name_apart
    from danmatte_workbench.report import facts

    host = hardware.describe_host()
    folders = [arguments.models] if arguments.models else list_model_folders()
    subject = _find_subject(arguments.model, folders)
    figures = {}
    for label, folder in zip(name_apart(arguments.data), arguments.data, strict=True):
        scores, data = _score_folder(subject, folder)
        said = data.kinds
        kinds: dict[str, list[Score]] = {}
        for item in scores:
            kinds.setdefault(said.get(item.name, ""), []).append(item)
        if len(kinds) > 1:
            figures.update({f"{label}: {kind}": _measure(kinds[kind], data, host) for kind in sorted(kinds)})
        figures[label] = _measure(scores, data, host)
    _show(figures, subject.name, make_console())
    if arguments.json:
        scenes = {label: {item.metric: item.numbers for item in found} for label, found in figures.items()}
        content = {"model": arguments.model, "host": structs.asdict(host), "scenes": scenes}
        facts.write(content, arguments.json)
    return 0


def _find_subject(name: str, folders: list[Path]) -> "Subject":
    from danmatte_workbench import source
    from danmatte_workbench.graph import probing
    from danmatte_workbench.metrics.subject import Subject

    for folder in (*(models / name for models in folders), Path(name)):
        if (folder / "manifest.json").exists():
            return Subject.from_published(folder)
    described = source.find(name, *folders)
    found = source.read(described) if described else probing.inspect(Path(name))
    for note in found.notes:
        print(f"{found.path}: {note}")
    if found.meaning != "person":
        raise InputError(f"{found.path}: expected a graph whose output is a mask of people")
    return Subject.from_source(found)


def _score_folder(subject: "Subject", folder: Path) -> "tuple[list[Score], Dataset]":
    """Return the scores of all pictures, and the dataset."""
    from rich.progress import track

    from danmatte_workbench.dataset import load
    from danmatte_workbench.metrics import score_mask

    data = load(folder)
    if not data.labelled:
        raise InputError(f"{folder}: expected masks/ beside images/")
    masks = track(subject.predict_masks(data), total=len(data), description=folder.name, transient=True)
    scores = [score_mask(frame.name, mask, frame.truth) for frame, mask in masks if frame.truth is not None]
    return scores, data


def _measure(scores: "list[Score]", data: "Dataset", host: "Host") -> "list[Measurement]":
    """Return every metric for which at least one picture counts. Adjacent frames of a clip count as one scene."""
    from danmatte_workbench.metrics import Metric

    metrics = Metric.all.values()
    counted = [metric for metric in metrics if any(metric.counts(item) for item in scores)]
    return [metric.measure(scores, host, data.scenes) for metric in counted]


def _show(figures: "dict[str, list[Measurement]]", name: str, console: "Console") -> None:
    from rich.table import Table

    from danmatte_workbench.metrics import MeanIoU, Metric

    table = Table(title=name, title_justify="left")
    table.add_column("scenes", overflow="fold")
    for heading in ("pictures", *(metric.heading for metric in Metric.all.values())):
        table.add_column(heading, justify="right")
    for label, measured in figures.items():
        found = {item.metric: item for item in measured}
        pictures = str(found[MeanIoU.kind].samples) if MeanIoU.kind in found else "–"
        cells = [f"{found[kind].value:.4f}" if kind in found else "–" for kind in Metric.all]
        table.add_row(label, pictures, *cells)
    console.print(table)
