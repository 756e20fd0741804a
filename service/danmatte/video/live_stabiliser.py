"""Live masks that stand still where people do; nothing is waited for, only the frames before help."""

import threading
from dataclasses import dataclass

import cv2

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.video.stabiliser import Stabiliser, StabiliserOptions, StableMask

_WORKING_SIDE = 320  # finer than this, a mask is enlarged: the networks know no more
_SHORTEST_SIDE = 32  # optical flow refuses narrow stripes
_LONGEST_GAP_MS = 1000
_TO_GREY = {"RGB": cv2.COLOR_RGB2GRAY, "BGR": cv2.COLOR_BGR2GRAY}


class LiveStabiliser:
    """Stabilises one video's masks as its frames come, in any rhythm; of several maps a frame each by itself.

    A frame that is earlier than the last, or more than a second later, or of another size, begins anew.
    """

    def __init__(self) -> None:
        self._maps = dict[int, tuple[Stabiliser, Size, int]]()  # of each map the size and time of the last one
        self._alone = threading.Lock()  # a frame whose caller gave up may still be in work

    def expect(self, pts: float) -> "LiveFrame":
        """What stabilises the next frame, shown at this time in milliseconds; to be called once, by `Matting.run`."""
        return LiveFrame(self, round(pts))

    def step(
        self, grey: Pixels, values: Probabilities, pts_ms: int, *, colours: Pixels | None = None, number: int = 0
    ) -> StableMask:
        """The next frame's mask from its probabilities; `grey`, `values` and `colours` have one size.

        `number` tells several maps of a frame apart.
        """
        size = Size(*grey.shape)
        with self._alone:
            stabiliser, last_size, last_ms = self._maps.get(number, (None, None, 0))
            if not stabiliser or size != last_size or not 0 < pts_ms - last_ms <= _LONGEST_GAP_MS:
                stabiliser = Stabiliser(StabiliserOptions(ahead=0, hide=False))
            self._maps[number] = stabiliser, size, pts_ms
            (stable,) = stabiliser.step(grey, values, pts_ms, colours=colours)
            return stable


@dataclass
class LiveFrame:
    """One frame of a live video, called for each of its maps; `cut` says afterwards whether a scene began with it."""

    stabiliser: LiveStabiliser
    pts_ms: int
    cut: bool = False
    maps: int = 0

    def __call__(
        self, picture: Pixels, frame: Size, values: Probabilities, grid: Grid, manifest: Manifest
    ) -> tuple[Probabilities, Grid]:
        """From the graph's input, the frame's size and a map on this grid to a steadier map, and where its values lie.

        `picture` is (1, H, W, 3) uint8, and the map (h, w).
        """
        shrunk = min(1.0, _WORKING_SIDE / max(frame))
        working = Size(*(max(_SHORTEST_SIDE, round(side * shrunk)) for side in frame))
        framing = Framing.of(manifest)
        colours = framing.extract(picture, frame, working)
        grey: Pixels = cv2.cvtColor(colours, _TO_GREY[manifest.picture.colour])  # type: ignore[assignment]
        sized = framing.compute_mask(values, grid, working, frame)
        stable = self.stabiliser.step(grey, sized, self.pts_ms, colours=colours, number=self.maps)
        self.cut, self.maps = stable.cut, self.maps + 1
        return stable.alpha, Grid.half_pixel(framing.scale_size(frame), working)
