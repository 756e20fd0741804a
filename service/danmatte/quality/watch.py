"""Watching a video's quality while its frames go by, whoever decodes them and whatever else they are decoded for."""

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
from danmatte.quality.kind import Look, look_at
from danmatte.quality.patches import mean_score, place_patches, weigh_patches
from danmatte.quality.people import People, measure_people
from danmatte.quality.signs import Signs, find_signs
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.motion import measure_change
from danmatte.video.planes import cut_brightness, cut_patches

_DIFFERENT = 8  # grey levels: a place that moved
_PENDING = 4  # samples for each thread that may wait for it, so that memory doesn't grow with the video


class Verdict(NamedTuple):
    """What a sampled frame's patches say; a score of None where there was nothing to judge."""

    score: float | None
    signs: Signs | None
    look: Look


@dataclass(frozen=True)
class Sample:
    """A sampled frame: what all of it says at once, and the verdict on its patches that may still be in work."""

    pts_ms: int
    shot: int
    black: bool
    exposure: float
    bars: Bars
    verdict: "Future[Verdict]" = field(repr=False)


@dataclass
class Observations:
    """Everything that was seen of a video: each frame's time, shot, and difference from the one before.

    `changes` are the mean differences in grey levels, `blocks` those of the block that changes most, `areas` the shares
    of the frame that differ; NaN where a scene begins.
    """

    times_ms: list[int] = field(default_factory=list)
    shots: list[int] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    blocks: list[float] = field(default_factory=list)
    areas: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    people: dict[int, People] = field(default_factory=dict)


def measure_difference(grey: Pixels, before: Pixels) -> tuple[float, float, float]:
    """How far two small pictures, (H, W) uint8, are apart: a change, a block and an area as `Observations` has them."""
    differing = cv2.threshold(cv2.absdiff(grey, before), _DIFFERENT, 1, cv2.THRESH_BINARY)[1]
    return (*measure_change(before, grey), float(cv2.countNonZero(differing) / grey.size))


def find_slot(pts_ms: int, fps: float) -> int:
    """Which 1/fps of a second a frame falls into; the first one of each is judged."""
    return int((pts_ms + 1) * fps / 1000)  # a time rounded to a ms doesn't fall into the slot before


class QualityWatch:
    """Sees every frame of one video in its order, and has `fps` of them a second judged, and the first of every shot.

    A `FrameObserver`: `observe` takes a fraction of a millisecond; patches are judged by `threads` of its own.
    A context manager: leaving it waits for what is in work. `ask_masks` is called with a frame a second whose people
    are to be counted; where masks are made anyway, whoever has them calls `see_mask`.
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
        """Takes the next frame; `grey` is its small picture, (H, W) uint8, and `cut` whether a scene begins."""
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
        """Takes the mask, (H, W), of a frame that was seen or will be; one a second counts."""
        if (second := pts_ms // 1000) not in self.observations.people:
            self.observations.people[second] = measure_people(mask)

    def finish(self) -> Observations:
        """Everything, once all is judged. Raises EngineError where it couldn't be."""
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
        verdict = self._threads.submit(self._judge_patches, planes, bars, small, black=black)
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
        # As the frame is stored: a picture that is turned has the same damage, and its bars are those of the small one.
        height, width = planes[0].shape
        places = place_patches(Size(height, width), bars)
        grey = cut_brightness(planes, places)
        look = look_at(grey or [small], small)
        if black or not places:
            return Verdict(None, None, look)
        score = mean_score(self._judge.score(cut_patches(planes, places)), weigh_patches(grey))
        return Verdict(score, find_signs(grey), look)
