"""The process' log, on the error stream, written by a thread: a reader who stops holds nobody up."""

import logging
import os
import queue
import threading

_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")
_CLOSING_S = 1.0


class Logbook(logging.Handler):
    """Lines on a file descriptor. When its reader falls `longest` lines behind, the newest are dropped and counted."""

    def __init__(self, descriptor: int, *, longest: int = 10_000) -> None:
        super().__init__()
        self.setFormatter(_FORMAT)
        self.dropped = 0
        self._descriptor, self._told = descriptor, 0
        self._lines: queue.Queue[str | threading.Event | None] = queue.Queue(longest)
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line, or drops it; returns at once."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self.dropped += 1
        except Exception:  # noqa: BLE001 - a message that can't be formatted is its author's fault
            self.handleError(record)

    def flush(self) -> None:
        """Waits until what was taken is written, as far as the reader takes it in time."""
        written = threading.Event()
        try:
            self._lines.put(written, timeout=_CLOSING_S)
        except queue.Full:
            return
        written.wait(_CLOSING_S)

    def close(self) -> None:
        """Writes what was taken, as far as the reader takes it in time."""
        super().close()
        try:
            self._lines.put(None, timeout=_CLOSING_S)
        except queue.Full:
            return
        self._writer.join(_CLOSING_S)

    def _write(self) -> None:
        """Says how many lines are missing as soon as somebody reads again."""
        while (line := self._lines.get()) is not None:
            if isinstance(line, threading.Event):
                line.set()
                continue
            missing, self._told = self.dropped - self._told, self.dropped
            if missing:
                line = f"WARNING {__name__}: {missing} lines were not read in time, and are missing\n{line}"
            try:
                os.write(self._descriptor, line.encode(errors="backslashreplace") + b"\n")
            except OSError:  # nobody reads any more
                self.dropped += 1


def log_to_errors() -> None:
    """Puts the process' log on the error stream."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, handlers=[Logbook(2)])
    # What isn't HTTP at all is no fault of ours; what is, the service logs itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def flush() -> None:
    """Has this process' log written, as far as somebody reads it."""
    for book in _books():
        book.flush()


def dropped_lines() -> int:
    """How many lines of this process' log nobody read in time."""
    return sum(book.dropped for book in _books())


def _books() -> list[Logbook]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, Logbook)]
