"""The access log, with a JSON line for each request, and the application log on standard error."""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from danmatte.telemetry.background_writer import BackgroundWriter
from danmatte.telemetry.native_output import NativeOutput


class _JsonFormatter(logging.Formatter):
    """Formats records as JSON lines: time, level, logger, worker, message, and the traceback if there is one."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "worker": self._worker,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["cause"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


_captured: list[NativeOutput] = []  # at most one, because a process has one standard error
_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")


class AccessLog(BackgroundWriter[Mapping[str, object]]):
    """Writes objects as JSON lines."""

    def __init__(self, descriptor: int, *, max_lines: int = 10_000, on_drop: Callable[[], None] = lambda: None) -> None:
        encode = msgspec.json.Encoder().encode
        super().__init__(descriptor, encode, name="access-log", max_lines=max_lines, on_drop=on_drop)


class BackgroundLog(logging.Handler):
    """A log handler that never blocks. It counts dropped lines, and reports their number before the next line."""

    def __init__(self, descriptor: int, *, max_lines: int = 10_000) -> None:
        super().__init__()
        self.setFormatter(_FORMAT)
        self.dropped = self._reported = 0
        self._writer = BackgroundWriter(
            descriptor, self._encode, name="log", max_lines=max_lines, on_drop=self._count_dropped
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Enqueue a line, or drop it if the queue is full; never blocks."""
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - logging handles errors in a message's arguments itself
            self.handleError(record)

    def flush(self) -> None:
        """Wait until the queued lines are written, but not long if the reader is slow."""
        self._writer.flush()

    def close(self) -> None:
        """Write the queued lines and stop; waits not long if the reader is slow."""
        super().close()
        self._writer.close()

    def _encode(self, line: str) -> bytes:
        missing, self._reported = self.dropped - self._reported, self.dropped
        if missing:
            text = f"{missing} lines were not read in time, and are missing"
            lost = logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)
            line = f"{self.format(lost)}\n{line}"
        return line.encode(errors="backslashreplace")

    def _count_dropped(self) -> None:
        self.dropped += 1


def log_to_errors() -> None:
    """Write the application log to a duplicate of the current standard error, without blocking."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, handlers=[BackgroundLog(os.dup(2))])
    # aiohttp logs malformed requests, which are the client's fault; all other errors the service logs itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def write_json_log(worker: str) -> None:
    """Switch the application log to JSON lines; `worker` names this process, empty if it is the only one."""
    for handler in _find_handlers():
        handler.setFormatter(_JsonFormatter(worker))


def capture_native_output() -> None:
    """Redirect what native libraries write to standard error to the application log; call `log_to_errors` before."""
    if not _captured:
        _captured.append(NativeOutput())


def count_native_lines() -> int:
    """Return how many lines native libraries have written to standard error in this process."""
    return sum(output.count for output in _captured)


def flush() -> None:
    """Wait until the application log is written, but not long if its reader is slow."""
    for handler in _find_handlers():
        handler.flush()


def count_dropped_lines() -> int:
    """Return how many lines of the application log were dropped."""
    return sum(handler.dropped for handler in _find_handlers())


def _find_handlers() -> list[BackgroundLog]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, BackgroundLog)]
