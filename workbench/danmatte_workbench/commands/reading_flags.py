"""Flags for reading a graph that needs more than its file."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danmatte_workbench.reading import ReadOptions


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Add the flags to a command's parser."""
    parser.add_argument("--signature", metavar="NAME", help="function of a SavedModel (default: the serving function)")
    parser.add_argument(
        "--freeze",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="replace an input by a constant, such as phase_train=false; may be given several times (default: none)",
    )
    parser.add_argument(
        "--trust-lambda",
        action="store_true",
        help="run the Python code of a Keras file's Lambda layers (default: refuse it)",
    )


def read_options(arguments: argparse.Namespace, others: tuple[str, ...] = ()) -> "ReadOptions":
    """Return the options of `add_reading`. Raises InputError for invalid ones.

    others: more inputs to freeze, NAME=VALUE each.
    """
    from danmatte_workbench.reading import ReadOptions, parse_freeze

    return ReadOptions(
        signature=arguments.signature or "",
        freeze=parse_freeze([*arguments.freeze, *others]),
        trust_lambda=arguments.trust_lambda,
    )
