"""The second pass: the network runs again on the part of a frame that contains people, enlarged.

The first pass locates people, the second one refines their outlines. It is more exact because the network was trained
on people who fill a large part of the picture.
"""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Bits, Frame, Pixels, Probabilities, Size

_SPECK = 0.1  # share of the largest figure's area: smaller figures aren't refined
_AROUND = 0.25  # share of the people's height and width that is added around them, half on each side
_MIN_MARGIN = 0.05  # share of the mask's shorter side that is added on each side at least
_MIN_ASPECT, _MAX_ASPECT = 0.8, 1.8  # of a region, width by height: outside of these the network misses people
_MAX_SHARE = 0.5  # of the frame: a larger region gains hardly any resolution
_MAX_SIDE = 1280  # pixels along the longer side of a frame
_SURE = 0.3  # weight of the first pass where it is certain; the weight falls to 0 where it is undecided


@dataclass(frozen=True)
class Region:
    """A rectangle of the mask, in mask pixels."""

    top: int
    left: int
    size: Size

    @property
    def slices(self) -> tuple[slice, slice]:
        """The region's rows and columns."""
        return slice(self.top, self.top + self.size.height), slice(self.left, self.left + self.size.width)


@dataclass(frozen=True)
class RefinedRegion:
    """The graph's (h, w) output of the second pass and the region that it covers.

    `alone` means that the first pass ran on an earlier frame, so that its values are ignored in this region.
    """

    values: Probabilities = field(repr=False)
    region: Region
    alone: bool = False


class Refiner:
    """The second pass over the frames of one video, for masks of a `working` size."""

    def __init__(self, manifest: Manifest, frame: Size, working: Size, grid: Grid | None = None) -> None:
        """`grid` is the grid of the regions that are refined; the default is the model's own."""
        self._framing, self._working = Framing.of(manifest), working
        self._grid = grid or manifest.regions.grid
        self._scaled = self._framing.scale_size(frame)
        finer = max(whole / part for whole, part in zip(frame, working, strict=True))
        self._times = max(1, min(_MAX_SIDE // max(working), math.ceil(finer - 0.01)))

    @property
    def detail_size(self) -> Size:
        """The size at which frames are needed: an integer multiple of the mask size."""
        return Size(self._times * self._working.height, self._times * self._working.width)

    def choose_region(self, values: Probabilities, moved: Bits | None = None) -> Region | None:
        """Return the region around all people in the first pass's (h, w) output.

        `moved`, (rows, columns) of any grid over the mask, marks where something has moved since: a small figure there
        is a person who enters the frame, not a speck. None if there are no people, or if they fill so much of the
        frame that a second pass would add no detail.
        """
        grid = self._grid
        covered = (  # at least one each, because OpenCV crashes the process on an empty array
            max(1, math.ceil((self._scaled.height - grid.offset_y) / grid.step_y)),
            max(1, math.ceil((self._scaled.width - grid.offset_x) / grid.step_x)),
        )
        found = _find_people(values[: covered[0], : covered[1]], moved)  # the rest is letterbox padding
        if found is None:
            return None
        rows = _to_mask_pixels(found[0], grid.step_y, grid.offset_y, self._working.height / self._scaled.height)
        columns = _to_mask_pixels(found[1], grid.step_x, grid.offset_x, self._working.width / self._scaled.width)
        across, down = (columns[1] - columns[0], rows[1] - rows[0])
        least = 2 * _MIN_MARGIN * min(self._working)
        wide, high = (length + max(least, _AROUND * length) for length in (across, down))
        # A narrow region stretched to the input's shape distorts people so that the network doesn't recognize them.
        wide, high = max(wide, _MIN_ASPECT * high), max(high, wide / _MAX_ASPECT)
        top, bottom = _place_within(sum(rows) / 2, high, self._working.height)
        left, right = _place_within(sum(columns) / 2, wide, self._working.width)
        size = Size(bottom - top, right - left)
        if size.height * size.width > _MAX_SHARE * self._working.height * self._working.width:
            return None
        return Region(top, left, size)

    def cut_out(self, detail: Pixels, region: Region) -> Pixels:
        """Return the graph's input for the second pass; `detail` is the frame, (H, W, 3), at `detail_size`."""
        rows, columns = (slice(self._times * part.start, self._times * part.stop) for part in region.slices)
        part = detail[rows, columns]
        return self._framing.fit(Frame(part, Size(*part.shape[:2])))

    def merge(self, mask: Probabilities, refined: RefinedRegion) -> None:
        """Blend the second pass into the first pass's mask, (H, W) at the working size, in place."""
        size = refined.region.size
        here = mask[refined.region.slices]
        seen = Size(self._times * size.height, self._times * size.width)
        for rows, band in self._framing.project(refined.values, self._grid, size, seen):
            first = here[rows]
            # The first pass has seen the surroundings, so it keeps a small weight where it is certain.
            doubt = 1 if refined.alone else 1 - _SURE * np.abs(2 * first - 1)
            first += doubt * (band - first)


def _find_people(values: Probabilities, moved: Bits | None) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return first and last row, and column, of the figures in the graph's output, without specks that didn't move."""
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
    """Return where these rows or columns of the output begin and end on the mask, in its pixels."""
    first, last = (offset + cell * step + 0.5 for cell in cells)
    return (first - step / 2) * scale, (last + step / 2) * scale


def _place_within(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Return whole pixels around the middle; the range is shifted inside the limit and cropped only if too long."""
    start = min(max(0.0, middle - length / 2), max(0.0, limit - length))
    return math.floor(start), min(limit, math.ceil(start + length))
