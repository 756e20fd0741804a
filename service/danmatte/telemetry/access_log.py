"""The access log: a line of JSON a request, written by a thread, so that nobody ever waits for the reader."""

import os
import queue
import threading
from collections.abc import Callable, Mapping

import msgspec

_encode = msgspec.json.Encoder().encode


class AccessLog:
    """Lines on a file descriptor. When its reader falls `longest` lines behind, the newest are dropped and counted."""

    def __init__(self, descriptor: int, *, longest: int = 10_000, dropped: Callable[[], None] = lambda: None) -> None:
        self._descriptor, self._dropped = descriptor, dropped
        self._lines: queue.Queue[Mapping[str, object] | None] = queue.Queue(longest)
        self._writer = threading.Thread(target=self._write, name="access-log", daemon=True)
        self._writer.start()

    def write(self, line: Mapping[str, object]) -> None:
        """Takes a line, or drops it; returns at once."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped()

    def close(self, timeout_s: float = 1.0) -> None:
        """Writes what was taken, as far as the reader takes it in time."""
        try:
            self._lines.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._writer.join(timeout_s)

    def _write(self) -> None:
        """A whole line in one call, so that those of several workers never mix."""
        while (line := self._lines.get()) is not None:
            try:
                os.write(self._descriptor, _encode(line) + b"\n")
            except (OSError, ValueError):  # nobody reads any more, or it isn't text
                self._dropped()
