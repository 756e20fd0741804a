"""``workbench profile``: time the layers of one graph, or of two side by side."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.commands.terminal import make_console
from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from danmatte.contract.configuration import Configuration
    from danmatte_workbench.artifact import Artifact
    from danmatte_workbench.benchmark.layers import LayerTime

ROWS = 25


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: graphs, and how they are run."""
    parser.add_argument("graph", help="an IR (.xml), its folder, or NAME/VERSION of a published model")
    parser.add_argument("other", nargs="?", help="a second graph to compare with (default: none)")
    parser.add_argument(
        "--precision",
        choices=("f32", "bf16", "f16"),
        default="f32",
        help="precision of layers that aren't 8-bit (default: %(default)s)",
    )
    parser.add_argument("--device", default="CPU", help="OpenVINO device (default: %(default)s)")
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="number of threads; 0 lets OpenVINO choose (default: %(default)s)",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=30,
        metavar="N",
        help="number of inferences; times are medians (default: %(default)s)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=ROWS,
        metavar="N",
        help="number of layers to print, the slowest first (default: %(default)s)",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of pictures (default: the bundled samples)")
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="all layers"))


def run(arguments: argparse.Namespace) -> int:
    """Print shares by kind and precision, and the most expensive layers."""
    from danmatte_workbench import hardware
    from danmatte_workbench.configuration import configure
    from danmatte_workbench.report import facts

    for name, least in (("threads", 0), ("runs", 1), ("rows", 1)):
        if getattr(arguments, name) < least:
            raise InputError(f"--{name}: expected {least} or more, received {getattr(arguments, name)}")
    configuration = configure(
        device=arguments.device, precision=arguments.precision, streams=1, threads=arguments.threads
    )
    console = make_console()
    found = {}
    for name in (arguments.graph, arguments.other):
        if name is None:
            continue
        found[name] = _profile_graph(name, configuration, arguments, console)
    _show_shares("kind", found, lambda layer: layer.kind, console)
    _show_shares("precision", found, lambda layer: layer.precision, console)
    _show_layers(found, arguments.rows, console)
    if arguments.json:
        content = {
            "host": structs.asdict(hardware.describe_host()),
            "configuration": structs.asdict(configuration),
            "graphs": {name: [dataclasses.asdict(layer) for layer in layers] for name, layers in found.items()},
        }
        facts.write(content, arguments.json)
    return 0


def _profile_graph(
    name: str, configuration: "Configuration", arguments: argparse.Namespace, console: "Console"
) -> "tuple[LayerTime, ...]":
    from danmatte_workbench.benchmark.layers import make_inputs, profile_layers
    from danmatte_workbench.dataset import SAMPLES
    from danmatte_workbench.runtimes.profiling import read_precision

    graph = _find_artifact(name)
    pictures = make_inputs(graph, arguments.data or SAMPLES)
    layers = profile_layers(graph, configuration, pictures, runs=arguments.runs)
    precision = read_precision(graph.path, configuration)
    asked = "" if precision == configuration.precision else f" instead of {configuration.precision}"
    console.print(
        f"{name}: {sum(layer.ms for layer in layers):.2f} ms in {len(layers)} layers, floats in {precision}{asked}"
    )
    return layers


def _find_artifact(name: str) -> "Artifact":
    from danmatte.contract.artifact import GRAPH
    from danmatte.contract.places import list_model_folders
    from danmatte_workbench.runtimes import openvino

    folders = list_model_folders()
    for path in (Path(name), Path(name) / GRAPH, *(models / name / GRAPH for models in folders)):
        if path.is_file():
            if path.suffix != ".xml":
                raise InputError(f"{path}: expected an IR (.xml) to profile; make one with workbench convert")
            return openvino.describe(path)
    raise InputError(
        f"{name}: no such graph; expected an .xml, its folder, or NAME/VERSION in {' or '.join(map(str, folders))}"
    )


def _show_shares(
    heading: str, found: "dict[str, tuple[LayerTime, ...]]", word: "Callable[[LayerTime], str]", console: "Console"
) -> None:
    from rich.table import Table

    from danmatte_workbench.benchmark.layers import sum_up

    table = Table(heading)
    sums = [{share.word: share for share in sum_up(layers, word)} for layers in found.values()]
    for name in found:
        table.add_column(f"{_shorten(name)}, ms", justify="right")
        table.add_column("share", justify="right")
    words = dict.fromkeys(name for each in sums for name in each)
    for name in words:
        cells = [
            cell
            for each in sums
            for cell in ((f"{each[name].ms:.2f}", f"{each[name].part:.0%}") if name in each else ("–", "–"))
        ]
        table.add_row(name or "–", *cells)
    console.print(table)


def _show_layers(found: "dict[str, tuple[LayerTime, ...]]", rows: int, console: "Console") -> None:
    from rich.table import Table

    from danmatte_workbench.benchmark.layers import pair_layers

    table = Table("layer", "kind")
    for name in found:
        table.add_column(f"{_shorten(name)}, ms", justify="right")
        table.add_column("by")
    first, *others = found.values()
    pairs = pair_layers(first, others[0]) if others else tuple((layer, None) for layer in first)
    for pair in sorted(pairs, key=lambda pair: -max(layer.ms for layer in pair if layer))[:rows]:
        layer = next(layer for layer in pair if layer)
        cells = [
            cell
            for side in pair[: len(found)]
            for cell in ((f"{side.ms:.3f}", f"{side.kernel or '–'} {side.precision}") if side else ("–", ""))
        ]
        table.add_row(layer.name, layer.kind, *cells)
    console.print(table)


def _shorten(name: str) -> str:
    path = Path(name)
    return path.parent.name if path.name == "graph.xml" else path.stem if path.suffix == ".xml" else name
