"""Analysis of a frame that needs no mask: cuts, optical flow, and the picture's edges.

It is separate from the stabiliser so that a pipeline can run it during inference.
"""

from dataclasses import dataclass, field

import cv2

from danmatte.frame import Pixels
from danmatte.video.edges import EdgeGuide
from danmatte.video.motion import CutDetector, Flow, OpticalFlow


@dataclass(frozen=True)
class FrameAnalysis:
    """A frame at the masks' working size: `grey` (H, W) and `colours` (H, W, 3) uint8.

    `cut` says whether the frame begins a scene. A frame that isn't held has a `guide`. Its flow `back` leads to the
    previous frame that isn't held, and `ahead` leads from that frame to this one; both are None across a cut.
    """

    pts_ms: int
    cut: bool
    grey: Pixels = field(repr=False)
    colours: Pixels = field(repr=False)
    guide: EdgeGuide | None = field(default=None, repr=False)
    back: Flow | None = field(default=None, repr=False)
    ahead: Flow | None = field(default=None, repr=False)


class FrameAnalyzer:
    """An analyzer of one video's frames, in order; all pictures have the same small size.

    `ahead` enables flows in both directions, for a stabiliser that uses later frames.
    """

    def __init__(self, *, ahead: bool) -> None:
        self._ahead = ahead
        self._optical_flow, self._cuts = OpticalFlow(), CutDetector()
        self._newest: FrameAnalysis | None = None  # of the frames that aren't held

    def analyze(
        self, grey: Pixels, pts_ms: int, *, colours: Pixels | None = None, cut: bool | None = None, held: bool = False
    ) -> FrameAnalysis:
        """Return the analysis of the next frame, (H, W) uint8.

        A `held` frame reuses the previous mask. `colours`, (H, W, 3), have the channels in any order; without them
        edges are found in the brightness only. `cut` says whether a scene begins; None detects it. Raises ValueError
        for a held frame that is the first one or begins a scene.
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
