"""Masks that stand still where people do: time, edges and specks, from one frame's probabilities to the next.

Probabilities of the frames around are carried to the present one along optical flow and averaged, as far as
the pictures agree there: what moved unforeseen, or was hidden, is taken from the present frame alone, so
that nothing trails. Edges are drawn along the picture's before, coarsely, and after, finely.
"""

from collections import deque
from dataclasses import dataclass, field

import cv2
import numpy as np

from service.edges import Fade, Guide, decided, widened, without_specks
from service.frame import Pixels, Probabilities
from service.motion import Cuts, Flow, Optics

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


@dataclass
class _View:
    """A frame in the window: `back` and `ahead` lead to the view before it and from there to it, None over a cut."""

    pts_ms: int
    grey: Pixels
    colours: Pixels
    values: Probabilities | None
    cut: bool
    guide: Guide | None = None  # with values of its own
    back: Flow | None = None
    ahead: Flow | None = None


class Stabiliser:
    """The masks of one video, frame after frame; every picture and mask of the same small size."""

    def __init__(self, care: Care | None = None) -> None:
        self._care = care or Care()
        self._optics, self._cuts, self._fade = Optics(), Cuts(), Fade()
        self._window = deque[_View]()
        self._newest: _View | None = None  # with values of its own, as the two below
        self._past: tuple[_View, Probabilities, Probabilities] | None = None
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
        """Takes the next frame's (H, W) uint8 grey picture and float32 probabilities; answers what is ready.

        `colours` is the same picture, (H, W, 3), the channels in any order; who has none gets coarser edges.
        `values` None holds the mask of the frame before: ValueError when there is none, or a cut between.
        `cut` is whether a scene begins, for those who know; it is found here otherwise.
        """
        coloured = cv2.merge([grey] * 3) if colours is None else colours
        view = _View(pts_ms, grey, coloured, values, self._cuts.step(grey) if cut is None else cut)  # type: ignore[arg-type]
        if values is not None:
            view.guide = Guide(view.colours)
            view.values = view.guide.drawn(values, _COARSE)
            self._connect(view)
        elif view.cut or self._newest is None:
            raise ValueError(f"{pts_ms} ms: expected probabilities where a scene begins")
        self._window.append(view)
        ready = []
        while self._window and self._seen_enough():
            ready.append(self._next())
        return ready

    def finish(self) -> list[Steady]:
        """The frames still in the window."""
        return [self._next() for _ in range(len(self._window))]

    def _connect(self, view: _View) -> None:
        before, self._newest = self._newest, view
        if before is None or view.cut:
            return
        view.back = self._optics.flow(view.grey, before.grey)
        if self._care.ahead:
            view.ahead = self._optics.flow(before.grey, view.grey)

    def _seen_enough(self) -> bool:
        return (
            self._window[0].values is None or sum(view.values is not None for view in self._window) > self._care.ahead
        )

    def _next(self) -> Steady:
        view = self._window.popleft()
        if view.values is not None and view.guide is not None:
            self._shown = self._mask(view, view.values, view.guide)
        assert self._shown is not None
        return Steady(view.pts_ms, self._shown, view.cut, view.values is None)

    def _mask(self, view: _View, values: Probabilities, guide: Guide) -> Probabilities:
        total, weight = values.copy(), np.ones_like(values)
        lingering = self._add_past(view, total, weight)
        self._add_future(view, total, weight)
        blend = total / weight
        alpha, tallest = without_specks(guide.drawn(decided(blend), _FINE) + lingering)
        self._past = (view, blend, alpha)
        coverage = float(cv2.mean(alpha)[0])
        if self._care.margin:
            alpha = widened(alpha, self._care.margin)
        if self._care.fade:
            alpha = alpha * np.float32(self._fade.step(tallest, coverage, view.pts_ms, cut=view.cut))
        return np.clip(alpha, 0, 1)

    def _add_past(self, view: _View, total: Probabilities, weight: Probabilities) -> Probabilities | float:
        """Adds the blend before, and answers with what the edge keeps of the mask before."""
        if self._past is None or view.back is None:
            return 0.0
        before, blend, alpha = self._past
        agreed = self._agreement(view, before, view.back)
        total += _PAST * agreed * self._optics.carried(blend, view.back)
        weight += _PAST * agreed
        inside = self._optics.carried(alpha, view.back) >= 0.5
        return agreed * np.where(inside, np.float32(_LINGER), np.float32(-_LINGER))

    def _add_future(self, view: _View, total: Probabilities, weight: Probabilities) -> None:
        flow: Flow | None = None
        fresh = [other for other in self._window if other.values is not None]
        for other, share in zip(fresh[: self._care.ahead], _FUTURE, strict=False):
            if other.ahead is None or other.values is None:
                return
            flow = other.ahead if flow is None else flow + self._optics.carried(other.ahead, flow)
            agreed = np.float32(share) * self._agreement(view, other, flow)
            total += agreed * self._optics.carried(other.values, flow)
            weight += agreed

    def _agreement(self, here: _View, there: _View, flow: Flow) -> Probabilities:
        """How far what `flow` leads to looks like what is here, 0 to 1."""
        red, green, blue = cv2.split(cv2.absdiff(self._optics.carried(there.colours, flow), here.colours))
        worst = cv2.max(cv2.max(red, green), blue)
        off: Probabilities = cv2.blur(worst.astype(np.float32), (3, 3)) / np.float32(_AGREE)
        return cv2.exp(-off * off)  # type: ignore[return-value]
