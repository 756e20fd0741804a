"""Observing a video's quality while its frames are decoded, also for another purpose."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from types import TracebackType
from typing import NamedTuple, Self

import cv2

from danmatte.frame import Bits, Pixels, Size
from danmatte.quality.brightness import NO_BARS, Bars, find_bars, is_black, judge_exposure
from danmatte.quality.judge import Judge
from danmatte.quality.kind import Look, measure_look
from danmatte.quality.patches import mean_score, place_patches, weigh_patches
from danmatte.quality.people import People, measure_people
from danmatte.quality.signs import Signs, find_signs
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.motion import measure_change
from danmatte.video.planes import cut_brightness, cut_patches

_DIFFERENT = 8  # grey levels: a larger difference means that a pixel has moved
_PENDING = 4  # unfinished samples per thread, so that memory use doesn't depend on the video's length


class Verdict(NamedTuple):
    """The verdict on a sampled frame's patches; the score is None if there was nothing to judge."""

    score: float | None
    signs: Signs | None
    look: Look


@dataclass(frozen=True)
class Sample:
    """A sampled frame: measurements on the whole frame, and the verdict on its patches, which may be pending."""

    pts_ms: int
    shot: int
    black: bool
    exposure: float
    bars: Bars
    verdict: "Future[Verdict]" = field(repr=False)


@dataclass
class Observations:
    """Observations of a video: each frame's time, shot and difference from the previous one; also samples, and people.

    `changes` are the mean differences in grey levels, `blocks` those of the block that changes most, `areas` the shares
    of the frame that differ. These three are NaN for the first frame of a scene. `people` are by second.
    """

    times_ms: list[int] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    people: dict[int, People] = field(default_factory=dict)


def measure_difference(grey: Pixels, before: Pixels) -> tuple[float, float, float]:
    """Return the difference of two small pictures, (H, W) uint8: change, block and area, as in `Observations`."""
    differing = cv2.threshold(cv2.absdiff(grey, before), _DIFFERENT, 1, cv2.THRESH_BINARY)[1]
    return (*measure_change(before, grey), float(cv2.countNonZero(differing) / grey.size))


def find_slot(pts_ms: int, fps: float) -> int:
    """Return the number of the time slot, 1/fps seconds long, of a frame; the first frame of each slot is judged."""
    return int((pts_ms + 1) * fps / 1000)  # otherwise rounding to 1 ms could move a frame to the slot before


class QualityWatch:
    """A `FrameObserver` that judges `fps` frames per second of one video, and the first frame of every shot.

    `observe` takes a fraction of a millisecond, because patches are judged in `threads` separate threads. It is a
    context manager that waits for running judgements on exit. `ask_masks` is called with one frame per second and
    prepares its mask, in which people are measured; callers that have masks pass them to `see_mask` instead.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        fps: float,
        threads: int,
        ask_masks: Callable[[DecodedFrame], "Callable[[], Bits]"] | None = None,
    ) -> None:
        self.observations = Observations()
        self._judge, self._fps, self._ask_masks = judge, fps, ask_masks
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="quality")
        self._free = BoundedSemaphore(_PENDING * threads)
        self._shot = 0
        self._last: Pixels | None = None
        self._slot: int | None = None
        self._second: int | None = None

    def observe(self, frame: DecodedFrame, grey: Pixels, *, cut: bool) -> None:
        """Observe the next frame; `grey` is its small picture, (H, W) uint8, and `cut` whether a scene begins."""
        self._shot += cut
        seen = self.observations
        change = block = area = float("nan")
        if self._last is not None and not cut:
            change, block, area = measure_difference(grey, self._last)
        self._last = grey
        seen.times_ms.append(frame.pts_ms)
        seen.shots.append(self._shot)
        seen.changes.append(change)
        seen.blocks.append(block)
        seen.areas.append(area)
        slot = find_slot(frame.pts_ms, self._fps)
        if cut or slot != self._slot:
            self._slot = slot
            self._take_sample(frame, grey)

    def see_mask(self, pts_ms: int, mask: Bits) -> None:
        """Measure people in a frame's mask, (H, W); only the first mask of a second counts."""
        if (second := pts_ms // 1000) not in self.observations.people:
            self.observations.people[second] = measure_people(mask)

    def finish(self) -> Observations:
        """Wait until every sample is judged and return the observations. Raises EngineError if a judgement failed."""
        for sample in self.observations.samples:
            sample.verdict.result()
        return self.observations

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _take_sample(self, frame: DecodedFrame, small: Pixels) -> None:
        planes = frame.read_planes()
        self._free.acquire()
        black = is_black(small)
        bars = NO_BARS if black else find_bars(small)
        stored_bars = Bars(*frame.turn_sides_back(bars))
        verdict = self._threads.submit(self._judge_patches, planes, stored_bars, small, black=black)
        verdict.add_done_callback(lambda _: self._free.release())
        exposure = judge_exposure(small)
        self.observations.samples.append(Sample(frame.pts_ms, self._shot, black, exposure, bars, verdict))
        second = frame.pts_ms // 1000
        if self._ask_masks and second != self._second:
            self._second = second
            make_mask = self._ask_masks(frame)
            self._free.acquire()
            seeing = self._threads.submit(lambda: self.see_mask(frame.pts_ms, make_mask()))
            seeing.add_done_callback(lambda _: self._free.release())

    def _judge_patches(self, planes: list[Pixels], bars: Bars, small: Pixels, *, black: bool) -> Verdict:
        # Patches are taken from the frame as it is stored, because turning a picture doesn't change its damage.
        height, width = planes[0].shape
        places = place_patches(Size(height, width), bars)
        grey = cut_brightness(planes, places)
        look = measure_look(grey or [small], small)
        if black or not places:
            return Verdict(None, None, look)
        score = mean_score(self._judge.score(cut_patches(planes, places)), weigh_patches(grey))
        return Verdict(score, find_signs(grey), look)
