"""The ``workbench`` command line."""

import importlib
import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from danmatte.contract.command_line import CommandLine, run_to_end
from danmatte_workbench.errors import MachineError, WorkbenchError

PAGES = ("jinja2", "markupsafe", "rich")


@dataclass(frozen=True)
class Command:
    """The help text of a command in ``commands/``, with examples that can be run as they are.

    needs: the libraries that it imports and that danmatte's extra installs.
    """

    description: str
    examples: tuple[str, ...]
    needs: tuple[str, ...] = ("jinja2", "keras", "markupsafe", "nncf", "optuna", "psutil", "rich", "tensorflow")


COMMANDS = {
    "optimize": Command(
        "find the fastest version of a graph that keeps its accuracy, and publish it",
        (
            "workbench optimize deeplab --effort quick",
            "workbench optimize model.onnx --data frames/ --size 16:9 --max-latency-ms 20",
        ),
    ),
    "convert": Command(
        "convert a graph, or a part of it, to OpenVINO IR",
        (
            "workbench convert --input_model model.tflite --output_dir ir/",
            "workbench convert --input_model frozen.pb --input_shape [1,513,513,3] --model_name person",
        ),
    ),
    "describe": Command(
        "write a draft model.toml for a graph, with what was detected and what was assumed",
        ("workbench describe model.onnx", "workbench describe model.tflite --output models/mine/model.toml"),
    ),
    "evaluate": Command(
        "measure masks against the ground truth, by kind of scene",
        ("workbench evaluate deeplab/4 --data validation/ --json accuracy.json",),
    ),
    "profile": Command(
        "show how long each layer takes",
        ("workbench profile deeplab/4", "workbench profile before/graph.xml after/graph.xml --rows 40"),
    ),
    "sweep": Command(
        "find the best settings for one graph on this machine: batch, streams, threads, requests",
        ("workbench sweep deeplab/4 --seconds 30",),
    ),
    "devices": Command(
        "list the devices that OpenVINO can use, and how much of this machine may be used",
        ("workbench devices", "workbench devices GPU"),
        ("rich",),
    ),
    "report": Command(
        "write a run's HTML page again, from its stored results", ("workbench report runs/deeplab/1",), PAGES
    ),
    "compare": Command(
        "compare two runs side by side",
        ("workbench compare runs/deeplab/1 runs/deeplab/2 --html comparison.html",),
        PAGES,
    ),
    "train": Command(
        "train the project's own networks: deeplab, starting from a trained graph, and quality",
        (
            "workbench train deeplab --data data/ --initial frozen_inference_graph.pb "
            "--teacher deeplabv3_mnv2_pascal_quant.tflite --output-dir training/",
            "workbench train quality --data data/ --output-dir training/",
        ),
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: done; 1: nothing met the budget; 2: wrong input; 3: this machine lacks something; 130: interrupted.
    """
    began = time.monotonic()
    parsed = make_parser().parse(arguments)
    parsed.began = began  # because time limits include the imports that follow
    try:
        check_extra(COMMANDS[parsed.command].needs)
        return run_to_end(lambda: int(_import_command(parsed.command).run(parsed)))
    except WorkbenchError as error:
        print(f"workbench {parsed.command}: {error}", file=sys.stderr)
        return error.exit_code


def make_parser() -> CommandLine:
    """Return the parser of the whole command line."""
    line = CommandLine("workbench", "From a trained graph to the fastest IR for this CPU.")
    for name, command in COMMANDS.items():
        _import_command(name).add(line.add(name, command.description, *command.examples))
    return line


def check_extra(libraries: Sequence[str]) -> None:
    """Raise MachineError if one of the libraries isn't installed. Imports none of them, because some take seconds."""
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise MachineError(f"needs {', '.join(missing)}; install the extra: pip install 'danmatte[workbench]'")


def _import_command(name: str) -> ModuleType:
    """Import and return the command's module, which defines ``add(parser)`` and ``run(arguments)``."""
    return importlib.import_module(f"danmatte_workbench.commands.{name}")
