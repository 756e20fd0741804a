"""``workbench sweep``: find the best batch, streams, threads, pinning and infer requests of one IR on this machine."""

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from danmatte.contract.command_line import JSON_HELP
from danmatte_workbench.commands.terminal import make_console
from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from rich.table import Table

    from danmatte.contract.configuration import Configuration
    from danmatte_workbench.artifact import Artifact
    from danmatte_workbench.benchmark.space import Point

SECONDS = 60.0
PICTURES = 8


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: graph, frames, time, device and precision."""
    parser.add_argument("model", help="an IR (graph.xml), NAME/VERSION of a published model, or its folder")
    parser.add_argument("--data", type=Path, metavar="PATH", help="pictures or a video (default: noise)")
    parser.add_argument(
        "--seconds",
        type=_parse_seconds,
        default=SECONDS,
        metavar="S",
        help="approximate search time in seconds (default: %(default)g)",
    )
    parser.add_argument("--device", help="OpenVINO device, such as GPU or AUTO (default: the manifest's, or CPU)")
    parser.add_argument("--precision", help="f32, bf16 or f16 (default: the manifest's, or f32)")
    parser.add_argument(
        "--models",
        type=Path,
        metavar="DIR",
        help="folder of published models (default: ./models, the checkout's, and the bundled ones)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help=JSON_HELP.format(what="points, curves and hardware"))


def run(arguments: argparse.Namespace) -> int:
    """Search, print all points sorted by speed, and print the best ones."""
    from danmatte.contract.places import list_model_folders
    from danmatte_workbench.benchmark.sweep import find_best, run_sweep
    from danmatte_workbench.configuration import reconfigure
    from danmatte_workbench.hardware import find_thread_limit
    from danmatte_workbench.runtimes import devices, openvino

    console = make_console()
    path, base = _find_graph(arguments.model, [arguments.models] if arguments.models else list_model_folders())
    wanted = {"device": arguments.device, "precision": arguments.precision}
    base = reconfigure(base, **{name: value for name, value in wanted.items() if value is not None})
    devices.check_device(base.device)
    artifact = openvino.describe(path)
    pictures = _make_pictures(artifact, arguments.data)
    console.print(str(find_thread_limit()), highlight=False)

    def report(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    points = run_sweep(artifact, pictures, budget_s=arguments.seconds, report=report, base=base)
    console.print(_make_table(points, artifact.path))
    for objective in ("throughput", "latency"):
        found = find_best(points, objective)
        said = str(found.setting) if found else "no setting is certainly better than the default"
        console.print(f"best {objective}: {said}", highlight=False, soft_wrap=True)
    if arguments.json:
        _write(points, artifact, base, arguments.json)
    return 0


def _parse_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, received {text!r}")
    return value


def _find_graph(name: str, folders: list[Path]) -> "tuple[Path, Configuration]":
    """Return the IR's path, and the configuration in its manifest, or the default one if it has none."""
    from danmatte.contract import ManifestError
    from danmatte.contract.artifact import GRAPH, MANIFEST, read_manifest
    from danmatte_workbench import source
    from danmatte_workbench.configuration import configure

    for folder in (*(models / name for models in folders), Path(name)):
        if (folder / MANIFEST).is_file():
            try:
                return folder / GRAPH, read_manifest(folder).configuration
            except ManifestError as error:
                raise InputError(f"{folder}: isn't a published version: {error}") from error
    path = Path(name)
    if path.suffix == ".xml" and path.is_file():
        return path, configure()
    source.find(name, *folders)  # raises, with the nearest name, if it is neither file nor model
    versions = sorted({found.parent.name for models in folders for found in (models / name).glob("*/manifest.json")})
    hint = f"; its versions are {', '.join(f'{name}/{version}' for version in versions)}" if versions else ""
    raise InputError(f"{name}: expected an IR (.xml) or a published version{hint}; `workbench convert` makes an IR")


def _make_pictures(artifact: "Artifact", data: Path | None) -> "list[np.ndarray]":
    """Return frames stretched to the input's size, or noise with a fixed seed in the input's shape."""
    import numpy as np

    from danmatte.contract.framing import Framing
    from danmatte_workbench.dataset import load

    if len(artifact.inputs) != 1:
        raise InputError(f"{artifact.path}: expected one input, found {len(artifact.inputs)}")
    shape, dtype = artifact.inputs[0].shape, artifact.inputs[0].dtype
    if min(shape, default=0) < 1:
        raise InputError(f"{artifact.path}: expected an input of a fixed shape, found {list(shape)}")
    if data is None:
        rng = np.random.default_rng(0)
        noise = (rng.integers(0, 256, shape, np.uint8) for _ in range(PICTURES))
        return [item if dtype == "u8" else (item / 255).astype(np.float32) for item in noise]
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3:
        raise InputError(f"--data: expected a graph with an input of [1, H, W, 3], {artifact.path} has {list(shape)}")
    framing = Framing((shape[1], shape[2]))
    return [framing.fit_exactly(frame.pixels) for frame in load(data).pick(PICTURES)]


def _make_table(points: "Sequence[Point]", path: Path) -> "Table":
    from rich.table import Table

    table = Table(title=str(path), title_justify="left")
    for heading in ("batch", "streams", "threads", "requests", "pinned", "frames/s", "ms", "× reference"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for point in sorted(points, key=lambda point: -point.timing.ratio.value if point.timing else 0.0):
        at, timing = point.setting, point.timing
        cells = [str(at.batch), str(at.streams), str(at.threads), str(at.requests), "yes" if at.pinning else "no"]
        if timing is None:
            table.add_row(*cells, "–", "–", "–", point.note)
            continue
        ratio = f"{timing.ratio.value:.2f} [{timing.ratio.low:.2f}, {timing.ratio.high:.2f}]"
        figures = (f"{timing.throughput.value:.1f}", f"{timing.latency.value:.1f}", ratio)
        table.add_row(*cells, *figures, point.note if timing.agreed else f"disagree; {point.note}".strip("; "))
    return table


def _write(points: "Sequence[Point]", artifact: "Artifact", base: "Configuration", target: Path) -> None:
    from danmatte_workbench.benchmark.sweep import make_curves
    from danmatte_workbench.hardware import describe_hardware
    from danmatte_workbench.report import facts

    drawn = [
        {"axis": curve.axis, "title": curve.title, "points": [point.to_json() for point in curve.points]}
        for curve in make_curves(points)
    ]
    content = {
        "graph": {"path": str(artifact.path), "digest": artifact.digest},
        "base": structs.asdict(base),
        "hardware": dataclasses.asdict(describe_hardware()),
        "points": [point.to_json() for point in points],
        "curves": drawn,
    }
    facts.write(content, target)
