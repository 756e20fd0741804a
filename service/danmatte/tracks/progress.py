"""A line on the error stream that says how far a track is, and how long it will still take."""

import sys
import time
from dataclasses import replace
from typing import TextIO

from danmatte.tracks.tally import Tally

_EVERY_S = 0.5


class Progress:
    """The progress of one video from what was there at its `start`; `end_ms` is None when nobody knows.

    Silent where nobody looks, and where it isn't to be told: there is one line for all videos.
    """

    def __init__(
        self, name: str, start: Tally, end_ms: int | None, stream: TextIO | None = None, *, tells: bool = True
    ) -> None:
        self._name, self._start, self._end_ms = name, replace(start), end_ms
        self._stream = sys.stderr if stream is None else stream
        self._tells = tells and self._stream.isatty()
        self._started = self._printed = time.monotonic()
        self._shown = False

    def step(self, tally: Tally) -> None:
        """Prints the line again if some time has passed."""
        now = time.monotonic()
        if self._tells and now - self._printed >= _EVERY_S:
            self._printed, self._shown = now, True
            words = format_progress(tally, now - self._started, self._start, self._end_ms)
            print(f"\r\x1b[K{self._name}: {words}", end="", file=self._stream, flush=True)

    def finish(self) -> None:
        """Takes the line away."""
        if self._shown:
            print("\r\x1b[K", end="", file=self._stream, flush=True)


def format_progress(tally: Tally, seconds: float, start: Tally, end_ms: int | None) -> str:
    """Masks so far and a second, and the share done with the time left where the end is known."""
    speed = f"{tally.masks} masks, {(tally.masks - start.masks) / max(seconds, 0.001):.0f} a second"
    start_ms = start.last_ms
    if end_ms is None or end_ms <= start_ms or tally.last_ms <= start_ms:
        return speed
    done = min(1.0, (tally.last_ms - start_ms) / (end_ms - start_ms))
    left_s = round(seconds * (1 - done) / done)
    return f"{100 * tally.last_ms / end_ms:.0f} %, {speed}, {left_s // 60}:{left_s % 60:02} left"
