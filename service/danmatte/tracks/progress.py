"""A progress line on standard error: how much of a track is done and the time left."""

import sys
import time
from dataclasses import replace
from typing import TextIO

from danmatte.tracks.tally import Tally

_EVERY_S = 0.5


class Progress:
    """The progress of one video; `start` is the tally that it resumes from, and `end_ms` is None if unknown.

    Prints nothing if the stream isn't a terminal or `enabled` is false: several videos at once share one line.
    """

    def __init__(
        self, name: str, start: Tally, end_ms: int | None, stream: TextIO | None = None, *, enabled: bool = True
    ) -> None:
        self._name, self._start, self._end_ms = name, replace(start), end_ms
        self._stream = sys.stderr if stream is None else stream
        self._enabled = enabled and self._stream.isatty()
        self._started = self._printed = time.monotonic()
        self._shown = False

    def step(self, tally: Tally) -> None:
        """Print the line again if enough time has passed."""
        now = time.monotonic()
        if self._enabled and now - self._printed >= _EVERY_S:
            self._printed, self._shown = now, True
            words = format_progress(tally, now - self._started, self._start, self._end_ms)
            print(f"\r\x1b[K{self._name}: {words}", end="", file=self._stream, flush=True)

    def finish(self) -> None:
        """Clear the line."""
        if self._shown:
            print("\r\x1b[K", end="", file=self._stream, flush=True)


def format_progress(tally: Tally, seconds: float, start: Tally, end_ms: int | None) -> str:
    """Return masks so far and masks per second; if the end is known, also the percentage done and the time left."""
    speed = f"{tally.masks} masks, {(tally.masks - start.masks) / max(seconds, 0.001):.0f} a second"
    start_ms = start.last_ms
    if end_ms is None or end_ms <= start_ms or tally.last_ms <= start_ms:
        return speed
    done = min(1.0, (tally.last_ms - start_ms) / (end_ms - start_ms))
    left_s = round(seconds * (1 - done) / done)
    return f"{100 * min(1.0, tally.last_ms / end_ms):.0f} %, {speed}, {left_s // 60}:{left_s % 60:02} left"
