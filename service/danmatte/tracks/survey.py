"""Surveys: the last first pass over a whole frame, and how long the second pass may rely on it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import cv2
import numpy as np

from danmatte.frame import Bits, Pixels, Probabilities
from danmatte.tracks.refinement import RefinedRegion, Refiner, Region
from danmatte.tracks.selection import NetworkOutput
from danmatte.video.analysis import FrameAnalysis

_MAX_AGE = 3  # consecutive frames that get a second pass without a first one
_MOVED = 8.0  # grey levels of a block's mean difference, as for held frames
_BLOCK = 16  # side of a block in pixels
_MAX_MOVED = 0.25  # share of the blocks: if more have moved, the camera has

Infer: TypeAlias = Callable[[Pixels], Awaitable[Probabilities]]


@dataclass(frozen=True)
class Survey:
    """A first pass: its (h, w) output, the region for the second pass, and the frame's `grey` picture, (H, W) uint8.

    `age` counts the later frames that have reused it.
    """

    values: Probabilities = field(repr=False)
    region: Region | None
    grey: Pixels = field(repr=False)
    age: int = 0

    def serves(self, frame: FrameAnalysis) -> bool:
        """Return whether a second pass alone is enough for this frame: no cut, and nothing moved outside the region."""
        if self.region is None or frame.cut or self.age >= _MAX_AGE:
            return False
        columns = self.region.slices[1]
        if columns.start == 0 or columns.stop == frame.grey.shape[1]:
            return False  # people enter and leave at the sides, and a partly visible person is hard to recognize
        return not find_moved_blocks(self.grey, frame.grey, self.region).any()

    def grow_older(self) -> "Survey":
        """Return the same survey, one frame later."""
        return replace(self, age=self.age + 1)


def find_moved_blocks(before: Pixels, after: Pixels, but: Region | None = None) -> Bits:
    """Return which blocks of 16 by 16 pixels differ; changes in the region `but` are ignored."""
    apart = cv2.absdiff(before, after)
    if but:
        apart[but.slices] = 0
    high, wide = (max(1, side // _BLOCK) for side in before.shape)
    blocks = cv2.resize(apart, (wide, high), interpolation=cv2.INTER_AREA)
    return np.asarray(blocks >= _MOVED)


def find_moved(before: Survey | None, frame: FrameAnalysis) -> Bits | None:
    """Return which blocks have moved since the survey; None without one, after a cut, or if the camera moved."""
    if before is None or frame.cut:
        return None
    moved = find_moved_blocks(before.grey, frame.grey)
    return moved if moved.mean() <= _MAX_MOVED else None


async def survey_frame(
    frame: FrameAnalysis, picture: Pixels, before: Survey | None, infer: Infer, refiner: Refiner
) -> Survey:
    """Return the survey for a frame: the previous one if it is still valid, otherwise a new first pass."""
    if before is not None and before.serves(frame):
        return before.grow_older()
    values = await infer(picture)
    return Survey(values, refiner.choose_region(values, find_moved(before, frame)), frame.grey)


async def refine_region(survey: Survey, cut_out: Callable[[Region], Awaitable[Pixels]], infer: Infer) -> NetworkOutput:
    """Return the survey's output and the second pass in its region.

    If the survey is of an earlier frame, the second pass is marked `alone`, because people have moved since.
    """
    if survey.region is None:
        return NetworkOutput(survey.values)
    values = await infer(await cut_out(survey.region))
    return NetworkOutput(survey.values, RefinedRegion(values, survey.region, alone=survey.age > 0))
