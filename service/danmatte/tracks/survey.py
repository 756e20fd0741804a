"""What the whole frame last showed to the first pass, and for how long the second pass may do without it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import cv2
import numpy as np

from danmatte.frame import Bits, Pixels, Probabilities
from danmatte.tracks.refinement import RefinedRegion, Refiner, Region
from danmatte.tracks.selection import NetworkAnswer
from danmatte.video.analysis import FrameAnalysis

_LONGEST = 3  # frames in a row that are looked at in their region only
_MOVED = 8.0  # grey levels of a block's mean difference, as for frames that are held
_BLOCK = 16  # pixels of a block's side
_MOST_MOVED = 0.25  # share of the blocks: where more moved, the camera did

Infer: TypeAlias = Callable[[Pixels], Awaitable[Probabilities]]


@dataclass(frozen=True)
class Survey:
    """A first pass: its (h, w) answer, the region that was looked at again, the picture that it saw, (H, W) uint8.

    `age` is how many frames went by with it.
    """

    values: Probabilities = field(repr=False)
    region: Region | None
    grey: Pixels = field(repr=False)
    age: int = 0

    def serves(self, frame: FrameAnalysis) -> bool:
        """Whether a look at the region is enough for this frame: nothing moved outside of it, nor began anew."""
        if self.region is None or frame.cut or self.age >= _LONGEST:
            return False
        columns = self.region.slices[1]
        if columns.start == 0 or columns.stop == frame.grey.shape[1]:
            return False  # people come and go at the sides, and what is left of them is hard to know by itself
        return not find_moved_blocks(self.grey, frame.grey, self.region).any()

    def grow_older(self) -> "Survey":
        """The same, one frame later."""
        return replace(self, age=self.age + 1)


def find_moved_blocks(before: Pixels, after: Pixels, but: Region | None = None) -> Bits:
    """Which blocks of 16 by 16 pixels look otherwise, `but` for those of a region."""
    apart = cv2.absdiff(before, after)
    if but:
        apart[but.slices] = 0
    high, wide = (max(1, side // _BLOCK) for side in before.shape)
    blocks = cv2.resize(apart, (wide, high), interpolation=cv2.INTER_AREA)
    return np.asarray(blocks >= _MOVED)


def find_moved(before: Survey | None, frame: FrameAnalysis) -> Bits | None:
    """Which blocks moved since; None where nobody knows, and where it was the camera."""
    if before is None or frame.cut:
        return None
    moved = find_moved_blocks(before.grey, frame.grey)
    return moved if moved.mean() <= _MOST_MOVED else None


async def survey_frame(
    frame: FrameAnalysis, picture: Pixels, before: Survey | None, infer: Infer, refiner: Refiner
) -> Survey:
    """The survey that holds for a frame: the one before, where that serves, or a first pass over the whole picture."""
    if before is not None and before.serves(frame):
        return before.grow_older()
    values = await infer(picture)
    return Survey(values, refiner.choose_region(values, find_moved(before, frame)), frame.grey)


async def refine_region(survey: Survey, cut_out: Callable[[Region], Awaitable[Pixels]], infer: Infer) -> NetworkAnswer:
    """The second pass in a survey's region; an older survey has no say in it, as people moved since."""
    if survey.region is None:
        return NetworkAnswer(survey.values)
    values = await infer(await cut_out(survey.region))
    return NetworkAnswer(survey.values, RefinedRegion(values, survey.region, alone=survey.age > 0))
