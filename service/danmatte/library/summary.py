"""What became of the units: a line of JSON for each, and a table of all."""

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
    """Counts results as they come, without keeping them."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {state: Counter() for state in get_args(State)}
        self.exit_code = 0

    def add(self, result: UnitResult) -> None:
        """Counts one result."""
        self.exit_code = max(self.exit_code, result.exit_code)
        counts = self._counts[result.state]
        facts = {"units": 1, "masks": result.masks, "held": result.held, "cuts": result.cuts}
        counts.update(facts | {"bytes": result.size_bytes})
        if result.grade is not None:
            counts[result.grade] += 1

    def describe(self) -> str:
        """The table: a row for each state that occurred, and one for all; videos by grade where some were judged."""
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
    """Writes results as lines of JSON, each at once; `-` is standard output, None nowhere.

    Raises InvalidParameterError where the file can't be written, also the function that writes.
    """

    def refuse(error: OSError) -> InvalidParameterError:
        return InvalidParameterError(f"--json: {file}: can't be written ({error.strerror})")

    if file is None:
        yield lambda _: None
    elif str(file) == "-":
        stream = sys.stdout  # as it is now: what others print later may go elsewhere
        yield lambda result: print(encode_line(result).decode(), file=stream, flush=True)
    else:
        try:
            lines = file.open("wb", buffering=0)
        except OSError as error:
            raise refuse(error) from error

        def write(result: Struct) -> None:
            left = memoryview(encode_line(result) + b"\n")
            try:
                while left:  # a disk that is nearly full takes a part
                    left = left[lines.write(left) :]
            except OSError as error:
                raise refuse(error) from error

        with lines:
            yield write


def encode_line(content: object) -> bytes:
    """A line of JSON; what isn't Unicode in a file's name is escaped, as Python reads it again."""
    try:
        return msgspec.json.encode(content)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(content)).encode()


def _format_row(name: str, counts: Counter[str], columns: Sequence[str]) -> tuple[str, ...]:
    numbers = (str(counts[key]) for key in columns)
    return (name, *numbers, f"{counts['bytes'] / 2**20:.1f}")


def _align(row: tuple[str, ...], widths: list[int]) -> str:
    """The first word to the left, the numbers to the right."""
    first, *numbers = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(word.rjust(width) for word, width in numbers)])
