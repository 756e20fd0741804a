"""A slot for the newest frame, which replaces an older one that still waits."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from danmatte.video.decoded_frame import DecodedFrame


class WaitingFrame(NamedTuple):
    """A frame, the time of its arrival by the slot's clock in seconds, and the number of frames skipped before it."""

    frame: DecodedFrame
    arrived: float
    skipped: int


class FrameSlot:
    """A slot for one frame, between a thread that puts frames and one that takes the newest."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: WaitingFrame | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, frame: DecodedFrame) -> None:
        """Store a frame, replacing one that waits; never blocks."""
        with self._changed:
            skipped = self._waiting.skipped + 1 if self._waiting else 0
            self._waiting = WaitingFrame(frame, self._clock(), skipped)
            self._changed.notify()

    def close(self, error: Exception | None = None) -> None:
        """Accept no more frames; a waiting frame can still be taken, and after it, `take` raises `error`."""
        with self._changed:
            self._closed, self._error = True, self._error or error
            self._changed.notify()

    def take(self) -> WaitingFrame | None:
        """Wait for the newest frame and return it; None after the slot was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            waiting, self._waiting = self._waiting, None
            if waiting is None and self._error:
                raise self._error
            return waiting
