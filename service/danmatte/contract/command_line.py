"""What the command lines of danmatte and of its workbench have in common, so that both read alike."""

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
    """A program's parser: `--version`, and the help where no command is given. Its commands are added by `add`."""

    def __init__(self, program: str, description: str) -> None:
        super().__init__(prog=program, description=description)
        never = argparse.SUPPRESS  # it leaves before there is anything to store
        self.add_argument(
            "--version", action=_ShowVersion, nargs=0, dest=never, default=never, help="print the version"
        )
        self._commands = self.add_subparsers(dest="command", metavar="COMMAND", parser_class=argparse.ArgumentParser)

    def add(self, name: str, description: str, *examples: str, **options: Any) -> argparse.ArgumentParser:
        """A command; `examples` are lines that can be typed as they stand. What `options` may be, argparse says."""
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
        """The arguments, or the process' own. Without a command: prints the help and leaves with 2."""
        parsed = self.parse_args(arguments)
        if parsed.command is None:
            self.print_help(sys.stderr)
            self.exit(2)
        return parsed


def run_to_end(run: Callable[[], int]) -> int:
    """What a command returns, or 130 where it was interrupted, and 141 where nobody reads what it prints."""
    try:
        code = run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python itself would complain at the end
        return 141
    return code


class _ShowVersion(argparse.Action):
    """Looks the version up only when it is wanted, which takes longer than the whole help."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"{parser.prog} {version('danmatte')}")
        parser.exit(0)


def parse_size(text: str) -> "Size":
    """`320x180`, width first, as a size; raises ValueError."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if not match:
        raise ValueError(f"size: expected WIDTHxHEIGHT such as 320x180, received {text!r}")
    from danmatte.frame import Size  # brings NumPy, which most commands do without

    return Size(int(match[2]), int(match[1]))


def check_place(target: Path) -> None:
    """Raises OSError where a file can't be written, before the work that it is to tell of; makes its folder."""
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
    """Writes JSON, whole or not at all; to standard output where `target` is `-`. Raises OSError."""
    write_text(json.dumps(content, indent=1, allow_nan=False, default=str) + "\n", target)


def write_text(text: str, target: Path) -> None:
    """Writes a file, whole or not at all; to standard output where `target` is `-`. Raises OSError.

    What is no Unicode, as bytes of a file's name may be, is escaped.
    """
    if str(target) == "-":
        sys.stdout.write(text)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, text.encode(errors="backslashreplace"))
