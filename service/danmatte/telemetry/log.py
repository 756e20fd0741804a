"""The access log, a line of JSON for each request, and the process' own log, on the error stream."""

import logging
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from danmatte.telemetry.background_writer import BackgroundWriter
from danmatte.telemetry.native_output import NativeOutput


class _JsonFormatter(logging.Formatter):
    """A line of JSON for each record: time, level, logger, worker, message, and the cause where there is one."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._worker = worker

    def format(self, record: logging.LogRecord) -> str:
        """As the base class says."""
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


_captured: list[NativeOutput] = []  # one at most: a process has one error stream
_FORMAT = logging.Formatter("%(levelname)s %(name)s: %(message)s")


class AccessLog(BackgroundWriter[Mapping[str, object]]):
    """Objects in, lines of JSON out."""

    def __init__(self, descriptor: int, *, longest: int = 10_000, on_drop: Callable[[], None] = lambda: None) -> None:
        encode = msgspec.json.Encoder().encode
        super().__init__(descriptor, encode, name="access-log", longest=longest, on_drop=on_drop)


class BackgroundLog(logging.Handler):
    """A handler that never blocks; it counts the lines it loses, and says so with the next one that is read."""

    def __init__(self, descriptor: int, *, longest: int = 10_000) -> None:
        super().__init__()
        self.setFormatter(_FORMAT)
        self.dropped = self._reported = 0
        self._writer = BackgroundWriter(
            descriptor, self._encode, name="log", longest=longest, on_drop=self._count_dropped
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a line, or drops it; returns at once."""
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - a message that can't be formatted is its author's fault
            self.handleError(record)

    def flush(self) -> None:
        """Waits until what was taken is written, as far as the reader takes it in time."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what was taken, as far as the reader takes it in time."""
        super().close()
        self._writer.close()

    def _encode(self, line: str) -> bytes:
        missing, self._reported = self.dropped - self._reported, self.dropped
        if missing:
            words = f"{missing} lines were not read in time, and are missing"
            lost = logging.LogRecord(__name__, logging.WARNING, "", 0, words, None, None)
            line = f"{self.format(lost)}\n{line}"
        return line.encode(errors="backslashreplace")

    def _count_dropped(self) -> None:
        self.dropped += 1


def log_to_errors() -> None:
    """Puts the process' log on the error stream, as it is now."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, handlers=[BackgroundLog(os.dup(2))])
    # What isn't HTTP at all is no fault of ours; what is, the service logs itself.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def write_json_log(worker: str) -> None:
    """Has the process' log be lines of JSON from now on; `worker` is who this is among several, or empty."""
    for handler in _find_handlers():
        handler.setFormatter(_JsonFormatter(worker))


def capture_native_output() -> None:
    """Has what libraries write to the error stream go through this process' log; call it after `log_to_errors`."""
    if not _captured:
        _captured.append(NativeOutput())


def count_native_lines() -> int:
    """How many lines libraries wrote to the error stream of this process."""
    return sum(output.count for output in _captured)


def flush() -> None:
    """Waits until this process' log is written, as far as it is read."""
    for handler in _find_handlers():
        handler.flush()


def count_dropped_lines() -> int:
    """How many lines of this process' log nobody read in time."""
    return sum(handler.dropped for handler in _find_handlers())


def _find_handlers() -> list[BackgroundLog]:
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, BackgroundLog)]
