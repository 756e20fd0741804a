"""Where the newest frame waits for the network; the one before gives way."""

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from danmatte.video.decoded_frame import DecodedFrame


class WaitingFrame(NamedTuple):
    """A frame, when it came by the slot's clock in seconds, and how many were skipped before it."""

    frame: DecodedFrame
    arrived: float
    skipped: int


class FrameSlot:
    """One thread puts frames in, another takes the newest out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: WaitingFrame | None = None
        self._error: Exception | None = None
        self._closed = False

    def put(self, frame: DecodedFrame) -> None:
        """Lets a frame wait; never waits itself."""
        with self._changed:
            skipped = self._waiting.skipped + 1 if self._waiting else 0
            self._waiting = WaitingFrame(frame, self._clock(), skipped)
            self._changed.notify()

    def close(self, error: Exception | None = None) -> None:
        """Nothing more will come; what waits may still be taken, and then `error` is raised."""
        with self._changed:
            self._closed, self._error = True, self._error or error
            self._changed.notify()

    def take(self) -> WaitingFrame | None:
        """The newest frame, waited for; None when none will come."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            waiting, self._waiting = self._waiting, None
            if waiting is None and self._error:
                raise self._error
            return waiting
