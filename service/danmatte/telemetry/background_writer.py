"""Lines written by a thread of their own, so that a reader who stops never blocks the server.

The standard library's QueueListener isn't used: it waits without limit for its queue to empty when it is stopped, fails
when that is full, and has no flush.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

Line = TypeVar("Line")
_Item: TypeAlias = "Line | threading.Event | None"


class BackgroundWriter(Generic[Line]):
    """A file descriptor and a queue before it; when its reader falls `longest` lines behind, the newest are dropped.

    `encode` runs in the thread. `on_drop` is called for every lost line, by whichever thread lost it.
    """

    def __init__(
        self,
        descriptor: int,
        encode: Callable[[Line], bytes],
        *,
        name: str,
        longest: int,
        on_drop: Callable[[], None],
    ) -> None:
        self._descriptor, self._encode, self._on_drop = descriptor, encode, on_drop
        self._queue: queue.Queue[_Item[Line]] = queue.Queue(longest)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Takes a line, or drops it; returns at once."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._on_drop()

    def flush(self, timeout_s: float = 1.0) -> None:
        """Waits until what was taken is written, as far as the reader takes it in time."""
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout_s)
        except queue.Full:
            return
        done.wait(timeout_s)

    def close(self, timeout_s: float = 1.0) -> None:
        """Writes what was taken, as far as the reader takes it in time."""
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                os.write(self._descriptor, self._encode(item) + b"\n")  # in one call: workers' lines never mix
            except (OSError, ValueError):  # nobody reads any more, or it isn't text
                self._on_drop()
