"""``workbench train``: the default model trained on, from a graph that was trained here before."""

import argparse
import os
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Data, initial weights, and where the run is kept."""
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        metavar="DIR",
        help="train/ and unlabelled/, with images/ and masks/",
    )
    parser.add_argument(
        "--initial",
        type=Path,
        required=True,
        metavar="FILE",
        help="the frozen graph to go on from",
    )
    parser.add_argument(
        "--teacher",
        type=Path,
        required=True,
        metavar="FILE",
        help="deeplabv3_mnv2_pascal_quant.tflite, the official one",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("build/training"),
        metavar="DIR",
        help="checkpoints and the trained graph (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of everything random (default: %(default)s)")


def run(arguments: argparse.Namespace) -> int:
    """Train, or go on where an earlier run was stopped, and export."""
    from danmatte_workbench.training.deeplab import backend

    os.environ.setdefault("KERAS_BACKEND", backend.choose())
    from danmatte_workbench.training.deeplab.course import train

    graph = train(arguments.data, arguments.initial, arguments.teacher, arguments.output_dir, arguments.seed)
    print(f"trained {graph}; try it:  workbench evaluate {graph} --data {arguments.data / 'val'}")
    return 0
