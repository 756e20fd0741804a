"""How far a library is, and how long it will still take."""

import sys
import time
from typing import TextIO

from danmatte.library.inventory import Totals
from danmatte.library.result import UnitResult

_EVERY_S = 0.5  # on a terminal, where the line is written over
_LOG_EVERY_S = 60.0  # anywhere else, a line of its own


class LibraryProgress:
    """Tells the progress of one run on the error stream; `totals` are those of its shard."""

    def __init__(self, totals: Totals, stream: TextIO | None = None) -> None:
        self._totals = totals
        self._stream = sys.stderr if stream is None else stream
        self._started = self._printed = time.monotonic()
        self._units = self._bytes = 0

    def step(self, result: UnitResult) -> None:
        """Counts a unit that isn't under way any more."""
        self._units += 1
        self._bytes += result.size_bytes
        self.look()

    def look(self) -> None:
        """Prints a line if some time has passed."""
        now, terminal = time.monotonic(), self._stream.isatty()
        if now - self._printed < (_EVERY_S if terminal else _LOG_EVERY_S):
            return
        self._printed = now
        line = self.describe(now - self._started)
        print(f"\r\x1b[K{line}" if terminal else line, end="" if terminal else "\n", file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Prints a line that stays."""
        print(f"\r\x1b[K{line}" if self._stream.isatty() else line, file=self._stream, flush=True)

    def describe(self, seconds: float) -> str:
        """The line after so many seconds; the time left goes by the bytes of videos."""
        totals = self._totals
        line = f"{totals.kept + self._units} of {totals.units} units"
        left = totals.size_bytes - totals.kept_bytes - self._bytes
        if not self._bytes or left <= 0:
            return line
        left_s = seconds * left / self._bytes
        return f"{line}, {self._units / max(seconds, 0.001):.2g} a second, {format_time(left_s)} left"


def format_time(seconds: float) -> str:
    """As much as anybody wants to know: `40 s`, `12 min`, `40 h 05 min`."""
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
