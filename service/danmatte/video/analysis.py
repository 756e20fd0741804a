"""Analysis of a frame that needs no mask: cuts, optical flow, and the picture's edges.

It stands apart from the stabiliser so that a pipeline can do it while the network computes.
"""

from dataclasses import dataclass, field

import cv2

from danmatte.frame import Pixels
from danmatte.video.edges import EdgeGuide
from danmatte.video.motion import CutDetector, Flow, OpticalFlow


@dataclass(frozen=True)
class FrameAnalysis:
    """A frame at the masks' working size: `grey` (H, W) and `colours` (H, W, 3) uint8.

    `cut` says whether a scene begins with it. A frame that gets a mask of its own has a `guide`; the flow `back` leads
    from it to the last such frame before, and `ahead` from there to it. Both are None over a cut.
    """

    pts_ms: int
    cut: bool
    grey: Pixels = field(repr=False)
    colours: Pixels = field(repr=False)
    guide: EdgeGuide | None = field(default=None, repr=False)
    back: Flow | None = field(default=None, repr=False)
    ahead: Flow | None = field(default=None, repr=False)


class FrameAnalyzer:
    """Analyzes the frames of one video, one after another; every picture has the same small size.

    `ahead` asks for flows in both directions, for a stabiliser that looks at the frames to come.
    """

    def __init__(self, *, ahead: bool) -> None:
        self._ahead = ahead
        self._optical_flow, self._cuts = OpticalFlow(), CutDetector()
        self._newest: FrameAnalysis | None = None  # of the frames that aren't held

    def analyze(
        self, grey: Pixels, pts_ms: int, *, colours: Pixels | None = None, cut: bool | None = None, held: bool = False
    ) -> FrameAnalysis:
        """The analysis of the next frame, (H, W) uint8.

        A `held` frame takes the mask of the one before: ValueError when there is none, or a cut between. `colours`,
        (H, W, 3), have the channels in any order; without them edges are found in the brightness alone. `cut` is for
        callers who know already.
        """
        cut = self._cuts.step(grey) if cut is None else cut
        if held:
            if cut or self._newest is None:
                raise ValueError(f"{pts_ms} ms: expected probabilities where a scene begins")
            return FrameAnalysis(pts_ms, cut, grey, grey)
        planes: Pixels = cv2.merge([grey] * 3) if colours is None else colours  # type: ignore[assignment]
        back = ahead = None
        if self._newest is not None and not cut:
            back = self._optical_flow.compute(grey, self._newest.grey)
            ahead = self._optical_flow.compute(self._newest.grey, grey) if self._ahead else None
        self._newest = FrameAnalysis(pts_ms, cut, grey, planes, EdgeGuide(planes), back, ahead)
        return self._newest
