"""``workbench train``: our own networks: the one that finds people, whole or smaller, and the one that judges."""

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
    """Which network, data, initial weights, and where the run is kept."""
    parser.add_argument(
        "network",
        nargs="?",
        choices=NETWORKS,
        default=NETWORKS[0],
        help="deeplab finds people, quality judges pictures (default: %(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="train/ and unlabelled/, with images/, and masks/ for deeplab; quality takes val/, too",
    )
    parser.add_argument(
        "--initial",
        type=Path,
        metavar="FILE",
        help="the frozen graph that deeplab goes on from (default: none; needed)",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        metavar="FILE",
        help="deeplab's, deeplabv3_mnv2_pascal_quant.tflite, the official one (default: none; needed)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("build/training"),
        metavar="DIR",
        help="checkpoints and the trained graph (default: %(default)s)",
    )
    smaller = parser.add_mutually_exclusive_group()
    smaller.add_argument(
        "--student",
        type=float,
        metavar="SHARE",
        help="train a smaller deeplab instead, with this share of the milliseconds of --initial pruned, such as 0.35 "
        "(default: train the whole network)",
    )
    smaller.add_argument(
        "--student-from",
        type=Path,
        metavar="FILE",
        help="train a smaller network on, from the frozen graph of an earlier one, with --initial as its teacher "
        "(default: none)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of everything random (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on where an earlier run was stopped, and export."""
    if arguments.network == "quality":
        return run_quality(arguments)
    for option in ("initial", "teacher"):
        if getattr(arguments, option) is None:
            raise InputError(f"--{option}: expected a file to train deeplab with, received none")
    return run_deeplab(arguments)


def run_quality(arguments: argparse.Namespace) -> int:
    """Train the network that judges."""
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
    """By flag, what the weights depend on beside the pictures; of files what is in them."""
    from danmatte_workbench.training.origin import describe_file

    # Either student is one stage's: a folder has room for one.
    files = {"--initial": arguments.initial, "--teacher": arguments.teacher, "--student": arguments.student_from}
    # What isn't there is told by whoever reads it, with what it should be.
    options = {flag: describe_file(path) for flag, path in files.items() if path is not None and path.is_file()}
    if arguments.student is not None:
        options["--student"] = f"{arguments.student:g}"
    return {"--seed": str(arguments.seed), **options}


def carve(initial: Path, data: Path, share: float, folder: Path) -> dict[str, "Kernel"]:
    """A student's first kernels by layer's name: what pruning leaves of ``initial``."""
    from danmatte_workbench.training.deeplab import course, initialise, student

    whole, pruned = prune(initial, data, share, folder)
    return student.carve(
        course.read_initial(initial),
        [initialise.Kernel(*kernel) for kernel in whole],
        [initialise.Kernel(*kernel) for kernel in pruned],
    )


Kernels = Sequence[tuple[np.ndarray, np.ndarray]]


def prune(initial: Path, data: Path, share: float, folder: Path) -> tuple[Kernels, Kernels]:
    """The graph's kernels as they are converted, and what pruning leaves of them; kept in ``folder``."""
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
            for suffix in (".bin", ".xml"):  # the one that is looked for comes last
                unfinished.with_suffix(suffix).replace(graph.with_suffix(suffix))
        graphs.append(graph)
    return list_kernels(openvino.read(graphs[-2])), list_kernels(openvino.read(graphs[-1]))
