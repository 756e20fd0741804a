"""Live masks that stand still where people do; nothing is waited for, the frames before are all that helps."""

import threading
from dataclasses import dataclass

import cv2

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.video.stabiliser import Care, Stabiliser, Steady

_WORKING_SIDE = 320  # finer than this, a mask is enlarged: the networks know no more
_SHORTEST_SIDE = 32  # optical flow refuses narrow stripes
_LONGEST_GAP_MS = 1000
_GREY = {"RGB": cv2.COLOR_RGB2GRAY, "BGR": cv2.COLOR_BGR2GRAY}


class Steadying:
    """One video's frames, in any rhythm; who jumps back, or far ahead, or to another size, begins anew."""

    def __init__(self) -> None:
        self._stabiliser = Stabiliser()
        self._last: tuple[Size, int] | None = None
        self._alone = threading.Lock()  # a frame whose caller gave up may still be in work

    def at(self, pts: float) -> "Moment":
        """The next frame's, shown at this time in milliseconds; once, for `Matting.run`."""
        return Moment(self, round(pts))

    def step(self, grey: Pixels, values: Probabilities, pts_ms: int, *, colours: Pixels | None = None) -> Steady:
        """The frame's stabilised mask; pictures and `values` are of one size."""
        size = Size(*grey.shape)
        with self._alone:
            if not self._follows(size, pts_ms):
                self._stabiliser = Stabiliser(Care(ahead=0, fade=False))
            self._last = size, pts_ms
            (steady,) = self._stabiliser.step(grey, values, pts_ms, colours=colours)
            return steady

    def _follows(self, size: Size, pts_ms: int) -> bool:
        return self._last is not None and self._last[0] == size and 0 < pts_ms - self._last[1] <= _LONGEST_GAP_MS


@dataclass
class Moment:
    """A frame among others; `cut` says afterwards whether a scene began with it."""

    video: Steadying
    pts_ms: int
    cut: bool = False

    def __call__(
        self, picture: Pixels, frame: Size, values: Probabilities, manifest: Manifest
    ) -> tuple[Probabilities, Grid]:
        """From the graph's input and output to a steadier output, and where its values lie."""
        framing, working = Framing.of(manifest), _working(frame)
        colours = framing.extract(picture, frame, working)
        grey: Pixels = cv2.cvtColor(colours, _GREY[manifest.input.colour])  # type: ignore[assignment]
        sized = framing.compute_mask(values, manifest.output.grid, working, frame)
        steady = self.video.step(grey, sized, self.pts_ms, colours=colours)
        self.cut = steady.cut
        return steady.alpha, _grid(framing.scale_size(frame), working)


def _working(frame: Size) -> Size:
    shrunk = min(1.0, _WORKING_SIDE / max(frame))
    return Size(*(max(_SHORTEST_SIDE, round(side * shrunk)) for side in frame))


def _grid(scaled: Size, working: Size) -> Grid:
    """Where the values of a mask that covers the frame lie, in input pixels."""
    step_y, step_x = scaled.height / working.height, scaled.width / working.width
    return Grid(step_y=step_y, step_x=step_x, offset_y=(step_y - 1) / 2, offset_x=(step_x - 1) / 2)
