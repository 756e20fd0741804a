"""Masks that stand still where people do: time, edges and specks, from one frame's probabilities to the next.

Probabilities of the frames around are carried to the present one along optical flow and averaged, as far as
the pictures agree there: what moved unforeseen, or was hidden, is taken from the present frame alone, so
that nothing trails. Edges are drawn along the picture's before, coarsely, and after, finely.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from danmatte.frame import Pixels, Probabilities
from danmatte.video.analysis import Sight, Sights
from danmatte.video.edges import Fade, Guide, decided, widened, without_specks
from danmatte.video.motion import Flow, Optics

_PAST = 2.0  # weight of all that was, against 1 of the present frame
_FUTURE = (0.8, 0.6)  # weights of the frames ahead
_AGREE = 16.0  # levels of the worst colour: carried pictures that differ more count little
_COARSE, _FINE = 2, 1  # how far edges are drawn, before and after
_LINGER = 0.1  # hysteresis: what was inside stays so down to 0.5 less this, what was outside the other way round


@dataclass(frozen=True)
class Care:
    """What is done: `ahead` frames are looked at before the present one is answered, none when live.

    `margin` pixels are added around people, softly. `fade` lets the mask go in shots where it serves nobody:
    when people are tiny, or fill the screen so that no comment could be read.
    """

    ahead: int = len(_FUTURE)
    margin: int = 0
    fade: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.ahead <= len(_FUTURE) or self.margin < 0:
            raise ValueError(f"expected ahead 0 to {len(_FUTURE)} and margin at least 0, received {self}")


@dataclass(frozen=True)
class Steady:
    """A frame's stabilised mask: `alpha` is (H, W) float32 in [0, 1], not to be written to; `held` as it came."""

    pts_ms: int
    alpha: Probabilities = field(repr=False)
    cut: bool
    held: bool


class _View(NamedTuple):
    """A frame in the window; `values` None for one that is held."""

    sight: Sight
    values: Probabilities | None


class Stabiliser:
    """The masks of one video, frame after frame; every picture and mask of the same small size."""

    def __init__(self, care: Care | None = None) -> None:
        self._care = care or Care()
        self._sights = Sights(ahead=self._care.ahead > 0)
        self._optics, self._fade = Optics(), Fade()
        self._window = deque[_View]()
        self._past: tuple[Sight, Probabilities, Probabilities] | None = None  # the last with values of its own
        self._shown: Probabilities | None = None

    def step(
        self,
        grey: Pixels,
        values: Probabilities | None,
        pts_ms: int,
        *,
        colours: Pixels | None = None,
        cut: bool | None = None,
    ) -> list[Steady]:
        """Takes the next frame's pictures, as `Sights.step` does, and float32 (H, W) probabilities.

        Answers what is ready. `values` None holds the mask of the frame before.
        """
        return self.take(self._sights.step(grey, pts_ms, colours=colours, cut=cut, held=values is None), values)

    def take(self, sight: Sight, values: Probabilities | None) -> list[Steady]:
        """The same for a frame that was looked at already; then all of them must be."""
        drawn = None if values is None or sight.guide is None else sight.guide.drawn(values, _COARSE)
        self._window.append(_View(sight, drawn))
        ready = []
        while self._window and self._seen_enough():
            ready.append(self._next())
        return ready

    def finish(self) -> list[Steady]:
        """The frames still in the window."""
        return [self._next() for _ in range(len(self._window))]

    def _seen_enough(self) -> bool:
        return (
            self._window[0].values is None or sum(view.values is not None for view in self._window) > self._care.ahead
        )

    def _next(self) -> Steady:
        sight, values = self._window.popleft()
        if values is not None and sight.guide is not None:
            self._shown = self._mask(sight, values, sight.guide)
        assert self._shown is not None
        return Steady(sight.pts_ms, self._shown, sight.cut, values is None)

    def _mask(self, sight: Sight, values: Probabilities, guide: Guide) -> Probabilities:
        total, weight = values.copy(), np.ones_like(values)
        lingering = self._add_past(sight, total, weight)
        self._add_future(sight, total, weight)
        blend = total / weight
        alpha, tallest = without_specks(guide.drawn(decided(blend), _FINE) + lingering)
        self._past = (sight, blend, alpha)
        coverage = float(cv2.mean(alpha)[0])
        if self._care.margin:
            alpha = widened(alpha, self._care.margin)
        if self._care.fade:
            alpha = alpha * np.float32(self._fade.step(tallest, coverage, sight.pts_ms, cut=sight.cut))
        return np.clip(alpha, 0, 1)

    def _add_past(self, here: Sight, total: Probabilities, weight: Probabilities) -> Probabilities | float:
        """Adds the blend before, and answers with what the edge keeps of the mask before."""
        if self._past is None or here.back is None:
            return 0.0
        before, blend, alpha = self._past
        agreed = self._agreement(here, before, here.back)
        total += _PAST * agreed * self._optics.carried(blend, here.back)
        weight += _PAST * agreed
        inside = self._optics.carried(alpha, here.back) >= 0.5
        return agreed * np.where(inside, np.float32(_LINGER), np.float32(-_LINGER))

    def _add_future(self, here: Sight, total: Probabilities, weight: Probabilities) -> None:
        flow: Flow | None = None
        fresh = [(view.sight, view.values) for view in self._window if view.values is not None]
        for (there, values), share in zip(fresh[: self._care.ahead], _FUTURE, strict=False):
            if there.ahead is None:
                return
            flow = there.ahead if flow is None else flow + self._optics.carried(there.ahead, flow)
            agreed = np.float32(share) * self._agreement(here, there, flow)
            total += agreed * self._optics.carried(values, flow)
            weight += agreed

    def _agreement(self, here: Sight, there: Sight, flow: Flow) -> Probabilities:
        """How far what `flow` leads to looks like what is here, 0 to 1."""
        red, green, blue = cv2.split(cv2.absdiff(self._optics.carried(there.colours, flow), here.colours))
        worst = cv2.max(cv2.max(red, green), blue)
        off: Probabilities = cv2.blur(worst.astype(np.float32), (3, 3)) / np.float32(_AGREE)
        return cv2.exp(-off * off)  # type: ignore[return-value]
