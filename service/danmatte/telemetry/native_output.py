"""Capture of what native libraries write to standard error: escaped, counted, and written to the application log.

libpng, libjpeg, libwebp, FFmpeg and OpenVINO write there, sometimes text from untrusted pictures. If nobody read the
stream, such a write would block the decoding thread for ever.
"""

import logging
import os
import sys
import threading
import time

log = logging.getLogger(__name__)
_MAX_LINE_BYTES, _PART_BYTES = 200, 2**16
_MAX_LINES_PER_SECOND = 5  # further lines are only counted, and their number is added to the next logged line


class NativeOutput:
    """Replaces the process' standard error with a pipe; `count` is the number of captured lines."""

    def __init__(self, descriptor: int = 2) -> None:
        """Redirect the descriptor to a pipe. `sys.stderr` keeps writing to the original stream."""
        self.count = 0
        self._unlogged, self._window, self._in_window = 0, 0.0, 0
        sys.stderr = os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")
        self._reading, writing = os.pipe()
        os.set_blocking(writing, False)  # if the pipe is full, writes fail instead of blocking
        os.dup2(writing, descriptor)
        os.close(writing)
        threading.Thread(target=self._run, name="native-output", daemon=True).start()

    def _run(self) -> None:
        rest = b""
        while data := os.read(self._reading, _PART_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _PART_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log(line)

    def _log(self, line: bytes) -> None:
        self.count += 1
        now = time.monotonic()
        if now - self._window >= 1:
            self._window, self._in_window = now, 0
        self._in_window += 1
        if self._in_window > _MAX_LINES_PER_SECOND:
            self._unlogged += 1
            return
        missing, self._unlogged = self._unlogged, 0
        more = f" ({missing} lines before it aren't shown)" if missing else ""
        log.warning("a library wrote: %s%s", escape(line[:_MAX_LINE_BYTES]), more)


def escape(line: bytes) -> str:
    """Return the line as ASCII text, with other characters escaped."""
    return line.decode("latin-1").encode("unicode_escape").decode("ascii")
