"""Plots as SVG: scales, axes, marks. Colours are the style sheet's classes, so that they follow the page's theme."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from danmatte_workbench.report.markup import Child, Markup, Value, join, tag
from danmatte_workbench.report.words import tick

TICK_PX, CAP_PX = 4, 3


@dataclass(frozen=True)
class Scale:
    """Values in [low, high] to pixels in [start, end]; beyond the ends it goes on, ``held`` stops there."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.logarithmic and self.low <= 0):
            raise ValueError(f"expected low < high, above 0 if logarithmic. Received: {self.low}, {self.high}")

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value = math.log(max(value, low * 1e-6))
            low, high = math.log(low), math.log(high)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def held(self, value: float) -> float:
        """The pixel of the nearest value within the ends."""
        return self(min(max(value, self.low), self.high))

    def ticks(self, count: int) -> list[float]:
        """About ``count`` round values between the ends: 1, 2, 5 and their tenfolds."""
        if self.logarithmic:
            return self._decades(count)
        step = _round_step((self.high - self.low) / count)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * position for position in range(first, last + 1)]

    def _decades(self, count: int) -> list[float]:
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
            found = [digit * 10.0**decade for decade in decades for digit in digits]
            within = [value for value in found if self.low <= value * (1 + 1e-9) and value * (1 - 1e-9) <= self.high]
            if len(within) <= count:
                return within
        return within


def _round_step(rough: float) -> float:
    decade = 10.0 ** math.floor(math.log10(rough))
    return next((digit * decade for digit in (1, 2, 2.5, 5) if digit * decade >= rough * 0.999), 10 * decade)


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def within(self, other: "Box") -> bool:
        """Whether it lies wholly inside the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def svg(width: float, height: float, *, label: str, name: str, parts: Iterable[Child]) -> Markup:
    """A picture with a text alternative; ``name`` becomes a class."""
    attributes: dict[str, Value] = {
        "class": f"plot {name}",
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": label,
    }
    return tag("svg", attributes, *parts)


def text(x: float, y: float, words: str, *, name: str = "tick", anchor: str = "start") -> Markup:
    """Words at a baseline's start, middle or end."""
    return tag("text", {"x": x, "y": y, "class": name, "text-anchor": anchor}, words)


def line(x1: float, y1: float, x2: float, y2: float, *, name: str) -> Markup:
    """A straight line."""
    return tag("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": name})


def path(points: Sequence[tuple[float, float]], name: str) -> Markup:
    """Straight lines from point to point."""
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", {"d": f"M{steps}", "class": name})


def bottom_axis(scale: Scale, y: float, title: str, *, ticks: Sequence[float], top: float) -> Markup:
    """Ticks with numbers below y, grid lines up to ``top``, and the title under them."""
    marks = [
        join(
            (
                line(scale(value), top, scale(value), y, name="grid"),
                text(scale(value), y + 18, tick(value), anchor="middle"),
            )
        )
        for value in ticks
    ]
    middle = (scale.start + scale.end) / 2
    return join((*marks, text(middle, y + 38, title, name="axis", anchor="middle")))


def left_axis(scale: Scale, x: float, *, ticks: Sequence[float], right: float) -> Markup:
    """Ticks with numbers left of x, and grid lines to ``right``."""
    return join(
        join(
            (
                line(x, scale(value), right, scale(value), name="grid"),
                text(x - 8, scale(value) + 4, tick(value), anchor="end"),
            )
        )
        for value in ticks
    )


def upright(x: float, low: float, high: float, name: str) -> Markup:
    """A whisker from ``low`` to ``high`` at x, with caps."""
    caps = " ".join(f"M{x - CAP_PX:.1f} {end:.1f} h{2 * CAP_PX}" for end in (low, high))
    return tag("path", {"d": f"{caps} M{x:.1f} {low:.1f} V{high:.1f}", "class": f"whisker {name}"})


def level(y: float, low: float, high: float, name: str) -> Markup:
    """A whisker from ``low`` to ``high`` at y, with caps."""
    caps = " ".join(f"M{end:.1f} {y - CAP_PX:.1f} v{2 * CAP_PX}" for end in (low, high))
    return tag("path", {"d": f"{caps} M{low:.1f} {y:.1f} H{high:.1f}", "class": f"whisker {name}"})


def mark(x: float, y: float, shape: str, *, name: str, title: str = "") -> Markup:
    """A mark: ``dot``, ``ring``, ``cross``, ``diamond`` or ``down``; the title shows under the pointer."""
    told = tag("title", None, title) if title else None
    kind = f"mark {shape} {name}"
    if shape in ("dot", "ring"):
        return tag("circle", {"cx": x, "cy": y, "r": 7 if "winner" in name else 4.5, "class": kind}, told)
    d = {
        "cross": f"M{x - 4:.1f} {y - 4:.1f} l8 8 m0 -8 l-8 8",
        "diamond": f"M{x:.1f} {y - 6:.1f} l6 6 l-6 6 l-6 -6 z",
        "down": f"M{x - 5:.1f} {y - 4:.1f} h10 l-5 8 z",
    }[shape]
    return tag("path", {"d": d, "class": kind}, told)
