"""What a frame's picture tells a stabiliser before anybody knows its mask: edges, cuts, and where things moved.

Apart from the stabiliser, so that a pipeline finds it out while the network still looks.
"""

from dataclasses import dataclass, field

import cv2

from danmatte.frame import Pixels
from danmatte.video.edges import Guide
from danmatte.video.motion import Cuts, Flow, Optics


@dataclass(frozen=True)
class Sight:
    """A frame at the masks' working size: `grey` (H, W) and `colours` (H, W, 3) uint8.

    `cut` is whether a scene begins with it. A frame that is to get a mask of its own has a guide; `back` leads from
    it to the one before that has, and `ahead` from there to it, None over a cut.
    """

    pts_ms: int
    cut: bool
    grey: Pixels = field(repr=False)
    colours: Pixels = field(repr=False)
    guide: Guide | None = field(default=None, repr=False)
    back: Flow | None = field(default=None, repr=False)
    ahead: Flow | None = field(default=None, repr=False)


class Sights:
    """The frames of one video, one after another; every picture of the same small size.

    `ahead` is whether flows are wanted in both directions, for who looks at the frames to come.
    """

    def __init__(self, *, ahead: bool) -> None:
        self._ahead = ahead
        self._optics, self._cuts = Optics(), Cuts()
        self._newest: Sight | None = None  # that isn't held

    def step(
        self, grey: Pixels, pts_ms: int, *, colours: Pixels | None = None, cut: bool | None = None, held: bool = False
    ) -> Sight:
        """The next frame's. A held one takes the mask before: ValueError when there is none, or a cut between.

        `colours` have the channels in any order; who has none gets coarser edges. `cut` is for those who know.
        """
        cut = self._cuts.step(grey) if cut is None else cut
        if held:
            if cut or self._newest is None:
                raise ValueError(f"{pts_ms} ms: expected probabilities where a scene begins")
            return Sight(pts_ms, cut, grey, grey)
        coloured: Pixels = cv2.merge([grey] * 3) if colours is None else colours  # type: ignore[assignment]
        back = ahead = None
        if self._newest is not None and not cut:
            back = self._optics.flow(grey, self._newest.grey)
            ahead = self._optics.flow(self._newest.grey, grey) if self._ahead else None
        self._newest = Sight(pts_ms, cut, grey, coloured, Guide(coloured), back, ahead)
        return self._newest
