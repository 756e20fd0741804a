"""Masks of a live stream, with an emulated clock."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from danmatte.broadcast.frame_slot import FrameSlot, WaitingFrame
from danmatte.broadcast.live_masks import LiveTally, make_masks
from danmatte.errors import TrackError
from danmatte.tracks import Entry

MASK = np.zeros((2, 2), np.bool_)


@dataclass
class Picture:
    """A fake decoded frame."""

    pts_ms: int


class EmulatedStream:
    """A stream of `fps` for some seconds; its clock advances by waits for frames and by the time of masks."""

    def __init__(self, fps: float, seconds: float) -> None:
        self.now, self._fps, self._count, self._next = 0.0, fps, round(fps * seconds), 0

    def clock(self) -> float:
        return self.now

    def take(self) -> WaitingFrame | None:
        if self._next >= self._count:
            return None
        newest = max(self._next, min(int(self.now * self._fps), self._count - 1))
        skipped, self._next = newest - self._next, newest + 1
        self.now = max(self.now, newest / self._fps)
        return WaitingFrame(Picture(round(1000 * newest / self._fps)), newest / self._fps, skipped)  # type: ignore[arg-type]


def run(fps: float, seconds: float, cost_s: float) -> tuple[LiveTally, list[tuple[float, int]]]:
    """Return the tally, and the delivery time and pts of each mask."""
    stream, delivered = EmulatedStream(fps, seconds), list[tuple[float, int]]()

    def matte(frame: Picture) -> Entry:
        # Work varies: now and then a mask takes three times as long.
        stream.now += cost_s * (3 if frame.pts_ms % 7 == 0 else 1)
        return Entry(frame.pts_ms, MASK)

    tally = make_masks(stream, matte, lambda entry: delivered.append((stream.now, entry.pts_ms)), stream.clock)  # type: ignore[arg-type]
    return tally, delivered


def measure_lags(delivered: list[tuple[float, int]], from_s: float, to_s: float) -> list[float]:
    return [now - pts_ms / 1000 for now, pts_ms in delivered if from_s <= now < to_s]


@pytest.mark.parametrize("cost_s", [0.01, 0.06, 0.3], ids=["fast enough", "too slow", "far too slow"])
def test_over_an_hour_the_delay_is_bounded_and_does_not_drift(cost_s: float) -> None:
    tally, delivered = run(25, 3600, cost_s)
    assert max(measure_lags(delivered, 0, 3600)) <= 2 * 3 * cost_s + 0.041
    first, last = (np.mean(measure_lags(delivered, *part)) for part in ((60, 360), (3240, 3540)))
    assert last == pytest.approx(first, abs=0.04)  # at most a frame apart
    assert tally.masks + tally.skipped == 25 * 3600
    assert tally.last_ms == 3_599_960
    assert [pts for _, pts in delivered] == sorted({pts for _, pts in delivered})


def test_a_machine_that_keeps_up_skips_no_frames() -> None:
    tally, delivered = run(25, 60, 0.01)
    assert (tally.masks, tally.skipped) == (1500, 0)
    assert "1500 masks, 0 frames skipped" in tally.describe()
    assert len(delivered) == 1500


def test_the_number_of_stored_delays_is_bounded() -> None:
    tally, _ = run(25, 3600, 0.001)
    assert len(tally.delays_ms) <= 4096


def test_a_newer_frame_replaces_the_one_waiting_in_the_slot() -> None:
    slot = FrameSlot(clock=lambda: 7.0)
    for pts_ms in (0, 40, 80):
        slot.put(Picture(pts_ms))  # type: ignore[arg-type]
    waiting = slot.take()
    assert waiting is not None
    assert (waiting.frame.pts_ms, waiting.arrived, waiting.skipped) == (80, 7.0, 2)
    slot.put(Picture(120))  # type: ignore[arg-type]
    slot.close()
    assert slot.take() is not None
    assert slot.take() is None


def test_a_new_frame_or_closing_wakes_a_waiting_thread() -> None:
    slot, found = FrameSlot(), list[WaitingFrame | None]()
    taker = threading.Thread(target=lambda: found.extend([slot.take(), slot.take()]))
    taker.start()
    slot.put(Picture(0))  # type: ignore[arg-type]
    slot.close()
    taker.join(10)
    assert not taker.is_alive()
    assert found[1] is None


def test_a_waiting_frame_is_taken_before_the_error_is_raised() -> None:
    slot = FrameSlot()
    slot.put(Picture(0))  # type: ignore[arg-type]
    slot.close(TrackError("the stream broke off"))
    assert slot.take() is not None
    with pytest.raises(TrackError, match="broke off"):
        slot.take()
