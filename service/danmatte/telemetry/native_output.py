"""What native libraries write to the error stream: read by a thread of ours, escaped, counted, and put into the log.

libpng, libjpeg, libwebp, FFmpeg and OpenVINO write there, with words that a stranger's picture chooses. Where nobody
reads the stream, such a write would block the thread that decodes for ever.
"""

import logging
import os
import sys
import threading
import time

log = logging.getLogger(__name__)
_LONGEST, _PART_BYTES = 200, 2**16
_A_SECOND = 5  # lines that are logged; the others are counted, and their number follows


class NativeOutput:
    """Takes the place of the process' error stream; `count` are the lines that came."""

    def __init__(self, descriptor: int = 2) -> None:
        """Everything that is written to the descriptor from now on is read here; Python's own stream stays."""
        self.count = 0
        self._unlogged, self._window, self._in_window = 0, 0.0, 0
        sys.stderr = os.fdopen(os.dup(descriptor), "w", buffering=1, errors="backslashreplace")
        self._reading, writing = os.pipe()
        os.set_blocking(writing, False)  # what finds no room is lost; nobody waits
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
        if self._in_window > _A_SECOND:
            self._unlogged += 1
            return
        missing, self._unlogged = self._unlogged, 0
        more = f" ({missing} lines before it aren't shown)" if missing else ""
        log.warning("a library wrote: %s%s", escape(line[:_LONGEST]), more)


def escape(line: bytes) -> str:
    """One line of plain ASCII: whatever else is in it is escaped."""
    return line.decode("latin-1").encode("unicode_escape").decode("ascii")
