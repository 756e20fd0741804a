"""The stabiliser: it makes masks consistent over time, aligns their edges with the picture's, and removes specks.

The probabilities of neighbouring frames are warped to the current frame along optical flow and averaged, weighted by
how alike the pictures are. Where they differ, because of fast motion or occlusion, only the current frame counts, which
avoids trails. Edges are aligned twice: coarsely before averaging, finely after it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels, Probabilities
from danmatte.video.analysis import FrameAnalysis, FrameAnalyzer
from danmatte.video.edges import EdgeGuide, sharpen
from danmatte.video.motion import Flow, OpticalFlow, measure_likeness
from danmatte.video.silhouette import MAX_MARGIN, Carried, Visibility, clean, close_gaps, widen

_PAST = 2.0  # weight of all past frames together; the current frame's is 1
_PAST_AHEAD = 2.2  # the same if later frames are used, which correct errors of the past
_FUTURE = (0.8, 0.6)  # weights of the later frames
_COARSE, _FINE = 2, 1  # reach of the edge alignment, before and after averaging
_LINGER = 0.1  # hysteresis: a pixel changes sides only if it is this far beyond 0.5


@dataclass(frozen=True)
class StabiliserOptions:
    """Options of a stabiliser.

    `ahead` is how many later frames a mask uses, 0 for live video. `margin`, a share of the height up to 0.05, is added
    around people with a soft edge. `hide` clears masks in shots where they are of no use, because people are tiny or
    fill the screen so that no comment could be read.
    """

    ahead: int = len(_FUTURE)
    margin: float = 0.0
    hide: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.ahead <= len(_FUTURE) or not 0 <= self.margin <= MAX_MARGIN:
            limits = f"ahead 0 to {len(_FUTURE)} and margin 0 to {MAX_MARGIN}"
            raise ValueError(f"expected {limits}, received {self}")


@dataclass(frozen=True)
class StableMask:
    """A frame's stabilised mask: `alpha` is (H, W) float32 in [0, 1] and must not be modified.

    `cut` says whether the frame begins a scene, `held` whether it reuses the mask of the previous frame.
    """

    pts_ms: int
    alpha: Probabilities = field(repr=False)
    cut: bool
    held: bool


class _Pending(NamedTuple):
    """A frame whose mask isn't finished; `values` are None for a held frame."""

    frame: FrameAnalysis
    values: Probabilities | None


class Stabiliser:
    """A stabiliser of one video's masks, frame after frame; all pictures and masks have the same small size."""

    def __init__(self, options: StabiliserOptions | None = None) -> None:
        self._options = options or StabiliserOptions()
        self._analyzer = FrameAnalyzer(ahead=self._options.ahead > 0)
        self._optical_flow, self._visibility = OpticalFlow(), Visibility()
        self._window = deque[_Pending]()
        # The last frame that wasn't held: analysis, averaged probabilities, and mask before margin and hiding.
        self._past: tuple[FrameAnalysis, Probabilities, Probabilities] | None = None
        self._shown: Probabilities | None = None

    def step(
        self,
        grey: Pixels,
        values: Probabilities | None,
        pts_ms: int,
        *,
        colours: Pixels | None = None,
        cut: bool | None = None,
    ) -> list[StableMask]:
        """Analyze the next frame, as `FrameAnalyzer.analyze` does, and add it; return the masks that are ready.

        `values` are its probabilities, (H, W) float32, or None to reuse the mask of the previous frame.
        """
        frame = self._analyzer.analyze(grey, pts_ms, colours=colours, cut=cut, held=values is None)
        return self.take(frame, values)

    def take(self, frame: FrameAnalysis, values: Probabilities | None) -> list[StableMask]:
        """Add a frame that was analyzed elsewhere and return the masks that are ready; not to be mixed with `step`."""
        refined = None if values is None or frame.guide is None else frame.guide.refine(values, _COARSE)
        self._window.append(_Pending(frame, refined))
        ready = []
        while self._window:
            with_values = sum(pending.values is not None for pending in self._window)
            if self._window[0].values is not None and with_values <= self._options.ahead:
                break
            ready.append(self._finish_first())
        return ready

    def finish(self) -> list[StableMask]:
        """Return the masks that were still waiting for later frames."""
        return [self._finish_first() for _ in range(len(self._window))]

    def _finish_first(self) -> StableMask:
        frame, values = self._window.popleft()
        if values is not None and frame.guide is not None:
            self._shown = self._compute_mask(frame, values, frame.guide)
        assert self._shown is not None  # the analysis raises for a held frame without a previous mask
        return StableMask(frame.pts_ms, self._shown, frame.cut, values is None)

    def _compute_mask(self, frame: FrameAnalysis, values: Probabilities, guide: EdgeGuide) -> Probabilities:
        total, weight = values.copy(), np.ones_like(values)
        lingering = np.zeros_like(values)
        before = self._add_past(frame, total, weight, lingering)
        after = self._add_future(frame, total, weight, lingering)
        blend = total / weight
        # Sharpened first, because the guided filter softens edges, and soft edges flicker at the threshold.
        alpha = close_gaps(guide.refine(sharpen(blend), _FINE) + lingering, before, after)
        alpha, tallest = clean(alpha, before, after)
        self._past = (frame, blend, alpha)  # the next average uses `blend`: in masks, hysteresis would accumulate
        coverage = float(cv2.mean(alpha)[0])
        if self._options.margin:
            alpha = widen(alpha, self._options.margin * len(alpha))
        if self._options.hide and not self._visibility.step(tallest, coverage, frame.pts_ms, cut=frame.cut):
            return np.zeros_like(alpha)
        return np.clip(alpha, 0, 1)

    def _add_past(
        self, here: FrameAnalysis, total: Probabilities, weight: Probabilities, lingering: Probabilities
    ) -> Carried | None:
        """Add the average of the previous frame and the hysteresis of its mask, in place; return that mask, warped."""
        if self._past is None or here.back is None:
            return None
        before, blend, alpha = self._past
        colours = self._optical_flow.warp(before.colours, here.back)
        # Without these weights, averaging along the flow costs up to 16 points of IoU for people who move fast.
        agreed = measure_likeness(colours, here.colours)
        share = np.float32(_PAST_AHEAD if self._options.ahead else _PAST)
        total += share * agreed * self._optical_flow.warp(blend, here.back)
        weight += share * agreed
        mask = self._optical_flow.warp(alpha, here.back)
        lingering += np.copysign(np.float32(_LINGER) * agreed, mask - 0.5)
        return Carried(mask, colours, agreed)

    def _add_future(
        self, here: FrameAnalysis, total: Probabilities, weight: Probabilities, lingering: Probabilities
    ) -> Carried | None:
        """Add the later frames up to the next cut likewise; return the first one's probabilities, warped."""
        flow: Flow | None = None
        first: Carried | None = None
        fresh = [(pending.frame, pending.values) for pending in self._window if pending.values is not None]
        for (there, values), share in zip(fresh[: self._options.ahead], _FUTURE, strict=False):
            if there.ahead is None:
                return first
            # Flows lead from one frame to the next; for the second frame ahead, two of them are concatenated.
            flow = there.ahead if flow is None else flow + self._optical_flow.warp(there.ahead, flow)
            colours = self._optical_flow.warp(there.colours, flow)
            agreement = measure_likeness(colours, here.colours)
            agreed = np.float32(share) * agreement
            coming = self._optical_flow.warp(values, flow)
            total += agreed * coming
            weight += agreed
            if first is None:
                first = Carried(coming, colours, agreement)
                lingering += np.copysign(np.float32(_LINGER) * agreed, coming - 0.5)
        return first
