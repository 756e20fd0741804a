"""The summary of a run: a line of JSON per unit, and a table of totals."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import Struct

from danmatte.errors import InvalidParameterError
from danmatte.library.result import State, UnitResult
from danmatte.quality.pooling import GRADES

_NUMBERS = ("units", "masks", "held", "cuts")


class LibrarySummary:
    """Totals of a run's results; the results themselves aren't kept."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {state: Counter() for state in get_args(State)}
        self.exit_code = 0

    def add(self, result: UnitResult) -> None:
        """Add one result."""
        self.exit_code = max(self.exit_code, result.exit_code)
        counts = self._counts[result.state]
        facts = {"units": 1, "masks": result.masks, "held": result.held, "cuts": result.cuts}
        counts.update(facts | {"bytes": result.size_bytes})
        if result.grade is not None:
            counts[result.grade] += 1

    def describe(self) -> str:
        """Return the table: a row per state that occurred, and one for all; with grades if any video was judged."""
        found = {state: counts for state, counts in self._counts.items() if counts}
        whole: Counter[str] = Counter()
        for counts in found.values():
            whole.update(counts)
        columns = [*_NUMBERS, *(GRADES if any(whole[grade] for grade in GRADES) else ())]
        rows = [("", *columns, "MiB of video")]
        rows += [_format_row(name, counts, columns) for name, counts in [*found.items(), ("all", whole)]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(_align(row, widths) for row in rows)


@contextmanager
def open_lines(file: Path | None) -> Iterator[Callable[[Struct], object]]:
    """Open a file for lines of JSON and return the function that writes one, unbuffered.

    `-` is standard output; with None, the function does nothing. Both raise InvalidParameterError if the file can't be
    written.
    """

    def refuse(error: OSError) -> InvalidParameterError:
        return InvalidParameterError(f"--json: {file}: can't be written ({error.strerror})")

    if file is None:
        yield lambda _: None
    elif str(file) == "-":
        stream = sys.stdout  # stored, because it may be redirected later
        yield lambda result: print(encode_line(result).decode(), file=stream, flush=True)
    else:
        try:
            lines = file.open("wb", buffering=0)
        except OSError as error:
            raise refuse(error) from error

        def write(result: Struct) -> None:
            left = memoryview(encode_line(result) + b"\n")
            try:
                while left:  # on a disk that is nearly full, only a part may be written
                    left = left[lines.write(left) :]
            except OSError as error:
                raise refuse(error) from error

        with lines:
            yield write


def encode_line(content: object) -> bytes:
    """Return a line of JSON; bytes in file names that aren't UTF-8 are escaped as surrogates, which Python can read."""
    try:
        return msgspec.json.encode(content)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(content)).encode()


def _format_row(name: str, counts: Counter[str], columns: Sequence[str]) -> tuple[str, ...]:
    numbers = (str(counts[key]) for key in columns)
    return (name, *numbers, f"{counts['bytes'] / 2**20:.1f}")


def _align(row: tuple[str, ...], widths: list[int]) -> str:
    """Return a row with the first word aligned left and the numbers aligned right."""
    first, *numbers = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(word.rjust(width) for word, width in numbers)])
