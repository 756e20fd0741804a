"""Flags of what a graph may need beside its file to be read."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danmatte_workbench.reading import ReadOptions


def add_reading(parser: argparse.ArgumentParser) -> None:
    """What a graph may need beside its file to be read."""
    parser.add_argument(
        "--signature", metavar="NAME", help="which of a SavedModel's functions (default: its serving one)"
    )
    parser.add_argument(
        "--freeze",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="make a constant of an input, such as phase_train=false; may be given several times (default: none)",
    )
    parser.add_argument(
        "--trust-lambda",
        action="store_true",
        help="run the Python code of a Keras file's Lambda layers (default: refuse it)",
    )


def read_options(arguments: argparse.Namespace, others: tuple[str, ...] = ()) -> "ReadOptions":
    """The options of `add_reading`; ``others`` are further inputs to freeze. Raises InputError for wrong ones."""
    from danmatte_workbench.reading import ReadOptions, parse_freeze

    return ReadOptions(
        signature=arguments.signature or "",
        freeze=parse_freeze([*arguments.freeze, *others]),
        trust_lambda=arguments.trust_lambda,
    )
