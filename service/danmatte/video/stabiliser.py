"""Masks that stand still where people do: time, edges and specks, from one frame's probabilities to the next.

Probabilities of the frames around are warped to the present one along optical flow and averaged, as far as
the pictures agree there: what moved unforeseen, or was hidden, is taken from the present frame alone, so
that nothing trails. Edges are moved to the picture's twice: coarsely before the average, finely after it.
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
from danmatte.video.silhouette import MOST_MARGIN, Carried, Visibility, clean, close_gaps, widen

_PAST = 2.0  # weight of all that was, against 1 of the present frame
_PAST_AHEAD = 2.2  # the same where later frames set right what the past has wrong
_FUTURE = (0.8, 0.6)  # weights of the frames ahead
_COARSE, _FINE = 2, 1  # how far edges are moved, before and after
_LINGER = 0.1  # hysteresis: what was inside stays so down to 0.5 less this, what was outside the other way round


@dataclass(frozen=True)
class StabiliserOptions:
    """What a stabiliser does.

    `ahead` is how many later frames help a mask, none when live. `margin`, a share of the height up to 0.05, is added
    around people, softly. `hide` leaves the mask out in shots where it serves nobody: when people are tiny, or fill
    the screen so that no comment could be read.
    """

    ahead: int = len(_FUTURE)
    margin: float = 0.0
    hide: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.ahead <= len(_FUTURE) or not 0 <= self.margin <= MOST_MARGIN:
            limits = f"ahead 0 to {len(_FUTURE)} and margin 0 to {MOST_MARGIN}"
            raise ValueError(f"expected {limits}, received {self}")


@dataclass(frozen=True)
class StableMask:
    """A frame's stabilised mask: `alpha` is (H, W) float32 in [0, 1], not to be written to.

    `cut` says whether a scene begins with the frame, `held` that its mask is the one of the frame before.
    """

    pts_ms: int
    alpha: Probabilities = field(repr=False)
    cut: bool
    held: bool


class _Pending(NamedTuple):
    """A frame whose mask isn't finished; `values` are None for one that is held."""

    frame: FrameAnalysis
    values: Probabilities | None


class Stabiliser:
    """Stabilises the masks of one video, frame after frame; every picture and mask has the same small size."""

    def __init__(self, options: StabiliserOptions | None = None) -> None:
        self._options = options or StabiliserOptions()
        self._analyzer = FrameAnalyzer(ahead=self._options.ahead > 0)
        self._optical_flow, self._visibility = OpticalFlow(), Visibility()
        self._window = deque[_Pending]()
        # The last frame with values of its own: its analysis, the average there, and its mask before margin and hiding.
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
        """Analyzes the next frame's pictures, as `FrameAnalyzer.analyze` does, and takes its probabilities.

        `values` are (H, W) float32, or None to hold the mask of the frame before. Returns the masks that are ready.
        """
        frame = self._analyzer.analyze(grey, pts_ms, colours=colours, cut=cut, held=values is None)
        return self.take(frame, values)

    def take(self, frame: FrameAnalysis, values: Probabilities | None) -> list[StableMask]:
        """The same for a frame that was analyzed elsewhere; then all frames must be."""
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
        """The masks that still waited for frames ahead."""
        return [self._finish_first() for _ in range(len(self._window))]

    def _finish_first(self) -> StableMask:
        frame, values = self._window.popleft()
        if values is not None and frame.guide is not None:
            self._shown = self._compute_mask(frame, values, frame.guide)
        assert self._shown is not None  # the analysis refuses to hold a mask where there is none
        return StableMask(frame.pts_ms, self._shown, frame.cut, values is None)

    def _compute_mask(self, frame: FrameAnalysis, values: Probabilities, guide: EdgeGuide) -> Probabilities:
        total, weight = values.copy(), np.ones_like(values)
        lingering = np.zeros_like(values)
        before = self._add_past(frame, total, weight, lingering)
        after = self._add_future(frame, total, weight, lingering)
        blend = total / weight
        # Sharpened first: the guided filter softens, and an edge that stays soft trembles around the threshold.
        alpha = close_gaps(guide.refine(sharpen(blend), _FINE) + lingering, before, after)
        alpha, tallest = clean(alpha, before, after)
        self._past = (frame, blend, alpha)  # the average, not the mask: hysteresis and edges would add up
        coverage = float(cv2.mean(alpha)[0])
        if self._options.margin:
            alpha = widen(alpha, self._options.margin * len(alpha))
        if self._options.hide and not self._visibility.step(tallest, coverage, frame.pts_ms, cut=frame.cut):
            return np.zeros_like(alpha)
        return np.clip(alpha, 0, 1)

    def _add_past(
        self, here: FrameAnalysis, total: Probabilities, weight: Probabilities, lingering: Probabilities
    ) -> Carried | None:
        """Adds the average of the frame before, in place, and what the edge keeps of its mask, which it returns."""
        if self._past is None or here.back is None:
            return None
        before, blend, alpha = self._past
        colours = self._optical_flow.warp(before.colours, here.back)
        # Without these weights an average along the flow costs up to 16 points of IoU on people who move fast.
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
        """The same for the frames ahead up to the next cut; returns the probabilities of the first."""
        flow: Flow | None = None
        first: Carried | None = None
        fresh = [(pending.frame, pending.values) for pending in self._window if pending.values is not None]
        for (there, values), share in zip(fresh[: self._options.ahead], _FUTURE, strict=False):
            if there.ahead is None:
                return first
            # Flows lead from one frame to the next; two frames ahead is one flow followed by the other.
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
