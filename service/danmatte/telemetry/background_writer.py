"""Writing of lines in a background thread, so that a reader who stops reading never blocks the server.

The standard library's QueueListener isn't used: when stopped, it waits for its queue without a timeout; it fails if
the queue is full; and it can't flush.
"""

import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeAlias, TypeVar

Line = TypeVar("Line")
_Item: TypeAlias = "Line | threading.Event | None"


class BackgroundWriter(Generic[Line]):
    """Writes lines to a file descriptor through a queue of at most `max_lines`; if it is full, new lines are dropped.

    `encode` runs in the background thread. `on_drop` is called for every dropped line, either in the thread that
    called `write` or in the background thread.
    """

    def __init__(
        self,
        descriptor: int,
        encode: Callable[[Line], bytes],
        *,
        name: str,
        max_lines: int,
        on_drop: Callable[[], None],
    ) -> None:
        self._descriptor, self._encode, self._on_drop = descriptor, encode, on_drop
        self._queue: queue.Queue[_Item[Line]] = queue.Queue(max_lines)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def write(self, line: Line) -> None:
        """Enqueue a line, or drop it if the queue is full; never blocks."""
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._on_drop()

    def flush(self, timeout_s: float = 1.0) -> None:
        """Wait until the queued lines are written, but at most about `timeout_s` if the reader is slow."""
        done = threading.Event()
        try:
            self._queue.put(done, timeout=timeout_s)
        except queue.Full:
            return
        done.wait(timeout_s)

    def close(self, timeout_s: float = 1.0) -> None:
        """Write the queued lines and stop the thread; waits at most about `timeout_s` if the reader is slow."""
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
                # In one call, so that lines of several workers don't mix.
                os.write(self._descriptor, self._encode(item) + b"\n")
            except (OSError, ValueError):  # the reader has closed the stream, or the line can't be encoded
                self._on_drop()
