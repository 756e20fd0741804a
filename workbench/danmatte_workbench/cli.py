"""The ``workbench`` command line."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from danmatte_workbench.errors import WorkbenchError

COMMANDS = {
    "optimize": "find the fastest version of a graph that keeps its accuracy, and publish it",
    "convert": "turn a frozen graph, or a part of it, into OpenVINO IR",
    "evaluate": "measure masks against the truth, by kind of scene",
    "profile": "show where the time goes, layer by layer",
    "sweep": "find how one graph runs best here: batch, streams, threads, requests",
    "devices": "list what OpenVINO can run on here, and how much of this machine may be used",
    "report": "write a run's page again, from what the run left",
    "compare": "set two runs side by side",
    "train": "train the default model again, from the official network's weights",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 done, 1 nothing met the budget, 2 wrong input, 3 this machine lacks something."""
    parsed = parser().parse_args(arguments)
    try:
        return int(_command(parsed.command).run(parsed))
    except WorkbenchError as error:
        print(f"workbench {parsed.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = argparse.ArgumentParser(
        prog="workbench", description="From a trained graph to the fastest IR for this CPU."
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        _command(name).add(commands.add_parser(name, help=text, description=text))
    return whole


def _command(name: str) -> ModuleType:
    """The module of the command: its ``add(parser)`` and ``run(arguments)``."""
    return importlib.import_module(f"danmatte_workbench.commands.{name}")
