"""``workbench train``: train the project's networks, deeplab (finds people) and quality (scores pictures)."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from danmatte_workbench.errors import InputError

if TYPE_CHECKING:
    from danmatte_workbench.training.deeplab.initialise import Kernel

NETWORKS = ("deeplab", "quality")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments: network, data, initial weights, and output folder."""
    parser.add_argument(
        "network",
        nargs="?",
        choices=NETWORKS,
        default=NETWORKS[0],
        help="deeplab finds people, quality scores pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder with train/ and unlabelled/, each with images/; deeplab needs train/masks/, too, and quality val/",
    )
    parser.add_argument(
        "--initial",
        type=Path,
        metavar="FILE",
        help="frozen graph with deeplab's initial weights (default: none; required for deeplab)",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="deeplab's teacher, the official deeplabv3_mnv2_pascal_quant.tflite (default: none; required for deeplab)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("build/training"),
        metavar="DIR",
        help="folder for checkpoints and the trained graph (default: %(default)s)",
    )
    smaller = parser.add_mutually_exclusive_group()
    smaller.add_argument(
        "--student",
        type=float,
        metavar="SHARE",
        help="train a smaller deeplab instead: --initial with this share of its inference time pruned, such as 0.35 "
        "(default: train the whole network)",
    )
    smaller.add_argument(
        "--student-from",
        type=Path,
        metavar="FILE",
        help="continue training a smaller network from its frozen graph, with --initial as its teacher (default: none)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of all random numbers (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, or resume an earlier run, and export the network."""
    if arguments.network == "quality":
        return run_quality(arguments)
    for option in ("initial", "teacher"):
        if getattr(arguments, option) is None:
            raise InputError(f"--{option}: expected a file to train deeplab with, received none")
    return run_deeplab(arguments)


def run_quality(arguments: argparse.Namespace) -> int:
    """Train the network that scores pictures."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    from danmatte_workbench.training.origin import check_origin
    from danmatte_workbench.training.quality import course

    check_origin(arguments.output_dir, "quality", {"--seed": str(arguments.seed)})
    graph = course.train(arguments.data, arguments.output_dir, seed=arguments.seed)
    print(f"trained {graph}; try it:  workbench optimize {graph.parent / 'model.toml'} --data {arguments.data / 'val'}")
    return 0


def run_deeplab(arguments: argparse.Namespace) -> int:
    """Train the network that finds people, or a smaller one."""
    from danmatte_workbench.training.deeplab import backend

    os.environ.setdefault("KERAS_BACKEND", backend.choose())
    from danmatte_workbench.training.deeplab import course
    from danmatte_workbench.training.origin import check_origin

    check_origin(arguments.output_dir, "deeplab", describe_options(arguments))
    places = (arguments.data, arguments.initial, arguments.teacher)
    if arguments.student_from:
        graph = course.train_student(
            *places, course.read_initial(arguments.student_from), arguments.output_dir, arguments.seed
        )
    elif arguments.student is not None:
        carved = carve(arguments.initial, arguments.data, arguments.student, arguments.output_dir)
        graph = course.train_student(*places, carved, arguments.output_dir, arguments.seed)
    else:
        graph = course.train(*places, arguments.output_dir, arguments.seed)
    print(f"trained {graph}; try it:  workbench evaluate {graph} --data {arguments.data / 'val'}")
    return 0


def describe_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the options, besides the pictures, on which the weights depend, by flag; files by their content."""
    from danmatte_workbench.training.origin import describe_file

    # Both kinds of student have the same flag here, because an output folder holds only one of them.
    files = {"--initial": arguments.initial, "--teacher": arguments.teacher, "--student": arguments.student_from}
    # Missing files are omitted, because reading them later raises a better error.
    options = {flag: describe_file(path) for flag, path in files.items() if path is not None and path.is_file()}
    if arguments.student is not None:
        options["--student"] = f"{arguments.student:g}"
    return {"--seed": str(arguments.seed), **options}


def carve(initial: Path, data: Path, share: float, folder: Path) -> dict[str, "Kernel"]:
    """Return a student's initial kernels by name of layer: those of ``initial`` after pruning."""
    from danmatte_workbench.training.deeplab import course, initialise, student

    whole, pruned = prune(initial, data, share, folder)
    return student.carve(
        course.read_initial(initial),
        [initialise.Kernel(*kernel) for kernel in whole],
        [initialise.Kernel(*kernel) for kernel in pruned],
    )


Kernels = Sequence[tuple[np.ndarray, np.ndarray]]


def prune(initial: Path, data: Path, share: float, folder: Path) -> tuple[Kernels, Kernels]:
    """Return the kernels of the converted graph, and those after pruning. Graphs are cached in ``folder``."""
    from danmatte_workbench import dataset
    from danmatte_workbench.graph import probing
    from danmatte_workbench.graph.layers import list_kernels
    from danmatte_workbench.runtimes import openvino
    from danmatte_workbench.steps import make_step
    from danmatte_workbench.steps.base import StepContext

    source = probing.inspect(initial)
    context = StepContext(source, dataset.load(data / "train"), folder)
    graphs = [source.path]
    folder.mkdir(parents=True, exist_ok=True)
    for kind, fields in (("cut", {}), ("head", {}), ("preprocess", {}), ("prune", {"share": share})):
        graph = folder / f"{kind}.xml"
        if not graph.exists():
            unfinished = folder / f"unfinished-{kind}.xml"
            print(f"{kind}: {make_step(kind, fields, source).apply(graphs[-1], unfinished, context)[1]}", flush=True)
            for suffix in (".bin", ".xml"):  # the .xml comes last, because its existence marks the graph as complete
                unfinished.with_suffix(suffix).replace(graph.with_suffix(suffix))
        graphs.append(graph)
    return list_kernels(openvino.read(graphs[-2])), list_kernels(openvino.read(graphs[-1]))
