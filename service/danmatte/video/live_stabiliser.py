"""The stabiliser for live masks, which adds no delay because it uses only past frames."""

import threading
from dataclasses import dataclass

import cv2

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.video.stabiliser import Stabiliser, StabiliserOptions, StableMask

_WORKING_SIDE = 320  # larger masks are upscaled from this, because the networks' output has no more detail
_MIN_SIDE = 32  # optical flow fails on narrower pictures
_MAX_GAP_MS = 1000
_TO_GREY = {"RGB": cv2.COLOR_RGB2GRAY, "BGR": cv2.COLOR_BGR2GRAY}


class LiveStabiliser:
    """A stabiliser of one live video's masks, at any frame rate. Several maps of a frame are stabilised separately.

    It is reset by a frame that isn't later than the last one, is more than a second later, or has another size.
    """

    def __init__(self) -> None:
        self._maps = dict[int, tuple[Stabiliser, Size, int]]()  # with the size and time of each map's last frame
        self._lock = threading.Lock()  # a frame whose request was cancelled may still be computed

    def expect(self, pts: float) -> "LiveFrame":
        """Return the callable that stabilises the next frame, for `Matting.run`; `pts` is its time in milliseconds."""
        return LiveFrame(self, round(pts))

    def step(
        self, grey: Pixels, values: Probabilities, pts_ms: int, *, colours: Pixels | None = None, number: int = 0
    ) -> StableMask:
        """Return the next frame's mask from its probabilities; `grey`, `values` and `colours` have the same size.

        `number` identifies the map if a frame has several.
        """
        size = Size(*grey.shape)
        with self._lock:
            stabiliser, last_size, last_ms = self._maps.get(number, (None, None, 0))
            if not stabiliser or size != last_size or not 0 < pts_ms - last_ms <= _MAX_GAP_MS:
                stabiliser = Stabiliser(StabiliserOptions(ahead=0, hide=False))
            self._maps[number] = stabiliser, size, pts_ms
            (stable,) = stabiliser.step(grey, values, pts_ms, colours=colours)
            return stable


@dataclass
class LiveFrame:
    """One frame of a live video, to be called for each of its maps; then `cut` says whether it begins a scene."""

    stabiliser: LiveStabiliser
    pts_ms: int
    cut: bool = False
    maps: int = 0

    def __call__(
        self, picture: Pixels, frame: Size, values: Probabilities, grid: Grid, manifest: Manifest
    ) -> tuple[Probabilities, Grid]:
        """Return the stabilised map and its grid.

        `picture` is the graph's input, (1, H, W, 3) uint8, `frame` the frame's size, and `values` a map, (h, w), on
        `grid`.
        """
        shrunk = min(1.0, _WORKING_SIDE / max(frame))
        working = Size(*(max(_MIN_SIDE, round(side * shrunk)) for side in frame))
        framing = Framing.of(manifest)
        colours = framing.extract(picture, frame, working)
        grey: Pixels = cv2.cvtColor(colours, _TO_GREY[manifest.picture.colour])  # type: ignore[assignment]
        sized = framing.compute_mask(values, grid, working, frame)
        stable = self.stabiliser.step(grey, sized, self.pts_ms, colours=colours, number=self.maps)
        self.cut, self.maps = stable.cut, self.maps + 1
        return stable.alpha, Grid.half_pixel(framing.scale_size(frame), working)
