"""The parts that the command lines of danmatte and of its workbench share."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from errno import EISDIR, ENOTDIR
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NoReturn

from danmatte.contract.whole_files import write_whole

if TYPE_CHECKING:
    from danmatte.frame import Size

JSON_HELP = "write {what} there as JSON, too; - is standard output"


class CommandLine(argparse.ArgumentParser):
    """A program's parser, with `--version` and commands; without a command, it prints the help."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=program, description=description)
        never = argparse.SUPPRESS  # the action exits, so there is no value to store
        self.add_argument(
            "--version", action=_ShowVersion, nargs=0, dest=never, default=never, help="print the version"
        )
        self._commands = self.add_subparsers(dest="command", metavar="COMMAND", parser_class=argparse.ArgumentParser)

    def add(self, name: str, description: str, *examples: str, **options: Any) -> argparse.ArgumentParser:
        """Add a command; `examples` are complete command lines, and `options` those of argparse's `add_parser`."""
        lines = "\n".join(f"  {example}" for example in examples)
        return self._commands.add_parser(
            name,
            help=description,
            description=description,
            epilog=f"examples:\n{lines}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,
        )

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the arguments, by default the process's; without a command, print the help and exit with code 2."""
        parsed = self.parse_args(arguments)
        if parsed.command is None:
            self.print_help(sys.stderr)
            self.exit(2)
        return parsed


def run_to_end(run: Callable[[], int]) -> int:
    """Run a command and return its exit code; 130 if it was interrupted, and 141 if its output pipe was closed."""
    try:
        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python reports an error at its exit
        return 141
    return code


class _ShowVersion(argparse.Action):
    """The action of `--version`, which looks the version up only then: that takes longer than printing the help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('danmatte')}")
        parser.exit(0)


def parse_size(text: str) -> "Size":
    """Parse a size such as `320x180`, width first; raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise ValueError(f"size: expected WIDTHxHEIGHT such as 320x180, received {text!r}")
    from danmatte.frame import Size  # imports NumPy, which most commands don't need

    return Size(int(match[2]), int(match[1]))


def check_place(target: Path) -> None:
    """Make a file's folder, and raise OSError if the file can't be written; call it before long computations."""
    if str(target) == "-":
        return
    if target.is_dir():
        raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(target))
    if target.parent.exists() and not target.parent.is_dir():
        raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=target.parent):
        pass


def write_json(content: object, target: Path) -> None:
    """Write JSON atomically, or to standard output if `target` is `-`; raises OSError."""
    write_text(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n", target)


def write_text(text: str, target: Path) -> None:
    """Write a file atomically, or to standard output if `target` is `-`; raises OSError.

    Text that isn't valid Unicode, such as some file names, is escaped in the file.
    """
    if str(target) == "-":
        sys.stdout.write(text)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text.encode(errors="backslashreplace"))
