"""Masks of a live stream, always of the newest frame, so that delays don't accumulate."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from danmatte.broadcast.frame_slot import WaitingFrame
from danmatte.errors import InvalidParameterError
from danmatte.frame import Bits, Size
from danmatte.segmenter import Segmenter
from danmatte.tracks import Entry
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.silhouette import MAX_MARGIN, widen

_FINEST = 640  # pixels along the longer side of a frame that is shown to the network


class Slot(Protocol):
    """A source of frames."""

    def take(self) -> WaitingFrame | None:
        """Return the newest frame; None at the end."""


@dataclass
class LiveTally:
    """Statistics of a stream: masks made, frames skipped for newer ones, and each mask's delay in ms."""

    masks: int = 0
    skipped: int = 0
    last_ms: int = 0
    delays_ms: list[float] = field(default_factory=list, repr=False)

    def describe(self) -> str:
        """Return the tally in words."""
        if not self.delays_ms:
            return "no masks"
        middle, late = np.percentile(self.delays_ms, [50, 99])
        return f"{self.masks} masks, {self.skipped} frames skipped, delay {middle:.0f} ms, at p99 {late:.0f} ms"


_KEPT_DELAYS = 4096


def make_masks(
    slot: Slot,
    matte: Callable[[DecodedFrame], Entry],
    deliver: Callable[[Entry], None],
    clock: Callable[[], float] = time.monotonic,
) -> LiveTally:
    """Make masks of the newest frames and deliver each at once, until the slot is closed.

    A mask's delay is at most the computation of two frames: of the one in progress, and of its own.
    """
    tally = LiveTally()
    while waiting := slot.take():
        deliver(matte(waiting.frame))
        tally.masks += 1
        tally.skipped += waiting.skipped
        tally.last_ms = waiting.frame.pts_ms
        tally.delays_ms.append(1000 * (clock() - waiting.arrived))
        del tally.delays_ms[:-_KEPT_DELAYS]
    return tally


class StreamMatting:
    """Makes the masks of one stream, stabilised, of this `size`; `margin` is a share of their height.

    They show the union of `regions`, by default the model's default region. Raises InvalidParameterError for unknown
    ones.
    """

    def __init__(self, segmenter: Segmenter, size: Size, *, margin: float = 0.0, regions: Sequence[str] = ()) -> None:
        if not 0 <= margin <= MAX_MARGIN:
            raise InvalidParameterError(f"margin: expected 0 to {MAX_MARGIN}, received {margin}")
        self._video, self._size, self._margin = segmenter.start_video(regions), size, margin
        scale = max(1.0, _FINEST / max(size))
        self._shown = Size(*(round(scale * side) for side in size))

    def __call__(self, frame: DecodedFrame) -> Entry:
        """Return the frame's mask."""
        picture = frame.to_colours(self._shown, "RGB")
        alpha = self._video.matte(picture, frame.pts_ms, (self._size.width, self._size.height))
        bits: Bits = alpha >= 128
        if self._margin:
            bits = widen(bits.astype(np.float32), self._margin * self._size.height) >= 0.5
        return Entry(frame.pts_ms, bits, keyframe=True, coverage=float(bits.mean()))
