"""The progress of a library's run and the time left."""

import sys
import time
from typing import TextIO

from danmatte.library.inventory import Totals
from danmatte.library.result import UnitResult

_EVERY_S = 0.5  # on a terminal, where the line is overwritten
_LOG_EVERY_S = 60.0  # otherwise, where each line is appended


class LibraryProgress:
    """The progress of one run, printed to standard error; `totals` are those of its shard."""

    def __init__(self, totals: Totals, stream: TextIO | None = None) -> None:
        self._totals = totals
        self._stream = sys.stderr if stream is None else stream
        self._started = self._printed = time.monotonic()
        self._units = self._bytes = 0

    def step(self, result: UnitResult) -> None:
        """Count a finished unit."""
        self._units += 1
        self._bytes += result.size_bytes
        self.look()

    def look(self) -> None:
        """Print a line if enough time has passed."""
        now, terminal = time.monotonic(), self._stream.isatty()
        if now - self._printed < (_EVERY_S if terminal else _LOG_EVERY_S):
            return
        self._printed = now
        line = self.describe(now - self._started)
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Print a line that isn't overwritten."""
        print(f"\r\x1b[K{line}" if self._stream.isatty() else line, file=self._stream, flush=True)

    def describe(self, seconds: float) -> str:
        """Return the line after so many seconds; the time left is estimated from the bytes of videos."""
        totals = self._totals
        line = f"{totals.kept + self._units} of {totals.units} units"
        left = totals.size_bytes - totals.kept_bytes - self._bytes
        if not self._bytes or left <= 0:
            return line
        left_s = seconds * left / self._bytes
        return f"{line}, {self._units / max(seconds, 0.001):.2g} a second, {format_time(left_s)} left"


def format_time(seconds: float) -> str:
    """Return a time as text, rounded: `40 s`, `12 min`, `40 h 05 min`."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
