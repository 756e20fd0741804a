"""The second pass: the part of a frame where the people are, shown to the network once more, and larger.

The first pass says where somebody is, the second one how far exactly they reach: the network was trained on people
who fill a good part of the picture.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Bits, Frame, Pixels, Probabilities, Size

_SPECK = 0.1  # of the largest figure's area: what is smaller isn't refined
_AROUND = 0.25  # of the people's height and width is added around them, half on each side
_LEAST = 0.05  # of the mask's shorter side is added on each side at least
_NARROWEST, _WIDEST = 0.8, 1.8  # a region's proportions: further from its usual ones the network knows nobody
_MOST = 0.5  # of the frame: a larger region is seen hardly any better
_FINEST = 1280  # pixels along the longer side of a frame
_SURE = 0.3  # what the first pass counts for where it has no doubt; where it doubts, it counts nothing


@dataclass(frozen=True)
class Region:
    """A part of the mask, in its pixels."""

    top: int
    left: int
    size: Size

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns."""
        return slice(self.top, self.top + self.size.height), slice(self.left, self.left + self.size.width)


@dataclass(frozen=True)
class RefinedRegion:
    """The graph's (h, w) output of the second pass, and the region that it shows.

    `alone` says that the first pass saw an earlier frame, and has no say there.
    """

    values: Probabilities = field(repr=False)
    region: Region
    alone: bool = False


class Refiner:
    """The second pass over the frames of one video, for masks of a `working` size."""

    def __init__(self, manifest: Manifest, frame: Size, working: Size, grid: Grid | None = None) -> None:
        """`grid` is that of the regions that are refined; the model's own unless given."""
        self._framing, self._working = Framing.of(manifest), working
        self._grid = grid or manifest.regions.grid
        self._scaled = self._framing.scale_size(frame)
        finer = max(whole / part for whole, part in zip(frame, working, strict=True))
        self._times = max(1, min(_FINEST // max(working), math.ceil(finer - 0.01)))

    @property
    def detail_size(self) -> Size:
        """The size at which frames are needed: a whole number of times the masks'."""
        return Size(self._times * self._working.height, self._times * self._working.width)

    def choose_region(self, values: Probabilities, moved: Bits | None = None) -> Region | None:
        """The region around all people in the first pass's (h, w) output.

        `moved`, (rows, columns) of any grid over the mask, is where something moved since: there a small figure is
        somebody who enters, and no speck. None where nobody is, or where people fill so much of the frame that a second
        pass would show no more.
        """
        grid = self._grid
        covered = (  # at least one each: OpenCV ends the process at an empty array
            max(1, math.ceil((self._scaled.height - grid.offset_y) / grid.step_y)),
            max(1, math.ceil((self._scaled.width - grid.offset_x) / grid.step_x)),
        )
        found = _find_people(values[: covered[0], : covered[1]], moved)  # nobody is in what fills the rest
        if found is None:
            return None
        rows = _to_mask_pixels(found[0], grid.step_y, grid.offset_y, self._working.height / self._scaled.height)
        columns = _to_mask_pixels(found[1], grid.step_x, grid.offset_x, self._working.width / self._scaled.width)
        across, down = (columns[1] - columns[0], rows[1] - rows[0])
        least = 2 * _LEAST * min(self._working)
        wide, high = (length + max(least, _AROUND * length) for length in (across, down))
        # A narrow region drawn out to the input's shape shows figures that the network doesn't take for people.
        wide, high = max(wide, _NARROWEST * high), max(high, wide / _WIDEST)
        top, bottom = _place_within(sum(rows) / 2, high, self._working.height)
        left, right = _place_within(sum(columns) / 2, wide, self._working.width)
        size = Size(bottom - top, right - left)
        if size.height * size.width > _MOST * self._working.height * self._working.width:
            return None
        return Region(top, left, size)

    def cut_out(self, detail: Pixels, region: Region) -> Pixels:
        """The graph's input for the second pass; `detail` is the frame, (H, W, 3), at `detail_size`."""
        rows, columns = (slice(self._times * part.start, self._times * part.stop) for part in region.slices)
        part = detail[rows, columns]
        return self._framing.fit(Frame(part, Size(*part.shape[:2])))

    def merge(self, mask: Probabilities, refined: RefinedRegion) -> None:
        """Brings the second pass into the first one's mask, (H, W) at the working size, in place."""
        size = refined.region.size
        here = mask[refined.region.slices]
        seen = Size(self._times * size.height, self._times * size.width)
        for rows, band in self._framing.project(refined.values, self._grid, size, seen):
            first = here[rows]
            # The first pass has seen what is around the people: where it is sure, it keeps a little weight.
            doubt = 1 if refined.alone else 1 - _SURE * np.abs(2 * first - 1)
            first += doubt * (band - first)


def _find_people(values: Probabilities, moved: Bits | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """First and last row, and column, of the figures in the graph's answer, specks left out that didn't move."""
    count, labels, facts, _ = cv2.connectedComponentsWithStats((values >= 0.5).astype(np.uint8))
    if count < 2:
        return None
    areas = facts[1:, cv2.CC_STAT_AREA]
    chosen = areas >= _SPECK * areas.max()
    if moved is not None:
        there = cv2.resize(moved.astype(np.uint8), labels.shape[::-1], interpolation=cv2.INTER_NEAREST)
        chosen |= np.bincount(labels[there > 0], minlength=count)[1:] > 0
    figures = facts[1:][chosen]
    left, top = figures[:, cv2.CC_STAT_LEFT], figures[:, cv2.CC_STAT_TOP]
    right = left + figures[:, cv2.CC_STAT_WIDTH] - 1
    bottom = top + figures[:, cv2.CC_STAT_HEIGHT] - 1
    return (int(top.min()), int(bottom.max())), (int(left.min()), int(right.max()))


def _to_mask_pixels(cells: tuple[int, int], step: float, offset: float, scale: float) -> tuple[float, float]:
    """Where those rows or columns of the answer begin and end on the mask."""
    first, last = (offset + cell * step + 0.5 for cell in cells)
    return (first - step / 2) * scale, (last + step / 2) * scale


def _place_within(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Whole pixels around the middle, moved inwards rather than cut off where there is room."""
    start = min(max(0.0, middle - length / 2), max(0.0, limit - length))
    return math.floor(start), min(limit, math.ceil(start + length))
