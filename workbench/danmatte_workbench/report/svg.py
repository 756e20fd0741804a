"""Drawing of charts as SVG: elements, scales, axes, marks, and labels that don't overlap.

No chart library is used, because charts need CSS classes for the reader's colour scheme, a text alternative, and a size
of a few kilobytes without external scripts. Libraries that write SVG have fixed colours and convert text to outlines;
those that run in the browser need megabytes of script.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from danmatte_workbench.report.words import format_tick, sanitize

CAP_PX = 3  # half the width of a whisker's cap
CHARACTER_PX, LINE_PX = 6.6, 15.0  # of a label
NEAR_PX, FAR_PX = (11.0,), (26.0, 42.0, 60.0, 80.0)  # from a mark to its label
# Directions from a mark to its label, the preferred first: sideways, above and below, then diagonal.
DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (0.7, -0.7), (0.7, 0.7), (-0.7, -0.7), (-0.7, 0.7))

Attribute = str | float | None


def make_element(name: str, attributes: Mapping[str, Attribute], *children: str | None) -> Markup:
    """Return an SVG element. Attributes that are None are omitted; children that aren't Markup are escaped."""
    written = []
    for key, value in attributes.items():
        if value is not None:
            text = value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
            written.append(f' {key}="{escape(sanitize(str(text)))}"')
    return Markup(f"<{name}{''.join(written)}>{join(children)}</{name}>")


def join(children: Iterable[str | None]) -> Markup:
    """Join pieces of markup. Text that isn't Markup is escaped, None is omitted."""
    pieces = (child if isinstance(child, Markup) else escape(sanitize(child)) for child in children if child)
    return Markup("").join(pieces)


@dataclass(frozen=True)
class Scale:
    """Maps values in [low, high] to pixels in [start, end]. Values outside are extrapolated; ``clamp`` limits them."""

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

    def clamp(self, value: float) -> float:
        """Return the pixel of the value, limited to [low, high]."""
        return self(min(max(value, self.low), self.high))

    def find_ticks(self, count: int) -> list[float]:
        """Return about ``count`` round values between the ends, such as multiples of 1, 2 or 5 times a power of ten."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            # Use the densest set of round digits with at most ``count`` ticks.
            for digits in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
                found = [digit * 10.0**decade for decade in decades for digit in digits]
                ticks = [value for value in found if self.low <= value * (1 + 1e-9) and value * (1 - 1e-9) <= self.high]
                if len(ticks) <= count:
                    break
            return ticks
        rough = (self.high - self.low) / count
        decade = 10.0 ** math.floor(math.log10(rough))
        rounded = (digit * decade for digit in (1, 2, 2.5, 5) if digit * decade >= rough * 0.999)
        step = next(rounded, 10 * decade)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [step * position for position in range(first, last + 1)]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share more than an edge."""
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def lies_within(self, other: "Box") -> bool:
        """Whether it lies completely inside the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.top <= self.top
            and self.bottom <= other.bottom
        )


def draw_chart(width: float, height: float, *, label: str, name: str, parts: Iterable[str | None]) -> Markup:
    """Return a chart with ``label`` as its text alternative and ``name`` as a CSS class."""
    attributes: dict[str, Attribute] = {
        "class": f"plot {name}",
        "viewBox": f"0 0 {width:g} {height:g}",
        "width": width,
        "height": height,
        "role": "img",
        "aria-label": label,
    }
    return make_element("svg", attributes, *parts)


def draw_text(x: float, y: float, words: str, *, name: str = "tick", anchor: str = "start") -> Markup:
    """Return a text element; ``anchor`` (start, middle or end) is the part of the baseline at (x, y)."""
    return make_element("text", {"x": x, "y": y, "class": name, "text-anchor": anchor}, words)


def draw_line(x1: float, y1: float, x2: float, y2: float, *, name: str) -> Markup:
    """Return a straight line."""
    return make_element("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": name})


def draw_path(points: Sequence[tuple[float, float]], name: str) -> Markup:
    """Return straight lines from point to point."""
    steps = " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return make_element("path", {"d": f"M{steps}", "class": name})


def draw_bottom_axis(scale: Scale, y: float, title: str, *, ticks: Sequence[float], top: float) -> Markup:
    """Return an axis at y: ticks with numbers and the title below it, and grid lines up to ``top``."""
    parts = []
    for value in ticks:
        parts.append(draw_line(scale(value), top, scale(value), y, name="grid"))
        parts.append(draw_text(scale(value), y + 18, format_tick(value), anchor="middle"))
    middle = (scale.start + scale.end) / 2
    return join((*parts, draw_text(middle, y + 38, title, name="axis", anchor="middle")))


def draw_left_axis(scale: Scale, x: float, *, ticks: Sequence[float], right: float) -> Markup:
    """Return an axis at x: ticks with numbers left of it, and grid lines to ``right``."""
    parts = []
    for value in ticks:
        parts.append(draw_line(x, scale(value), right, scale(value), name="grid"))
        parts.append(draw_text(x - 8, scale(value) + 4, format_tick(value), anchor="end"))
    return join(parts)


def draw_vertical_whisker(x: float, low: float, high: float, name: str) -> Markup:
    """Return a whisker from ``low`` to ``high`` at x, with caps."""
    caps = " ".join(f"M{x - CAP_PX:.1f} {end:.1f} h{2 * CAP_PX}" for end in (low, high))
    return make_element("path", {"d": f"{caps} M{x:.1f} {low:.1f} V{high:.1f}", "class": f"whisker {name}"})


def draw_horizontal_whisker(y: float, low: float, high: float, name: str) -> Markup:
    """Return a whisker from ``low`` to ``high`` at y, with caps."""
    caps = " ".join(f"M{end:.1f} {y - CAP_PX:.1f} v{2 * CAP_PX}" for end in (low, high))
    return make_element("path", {"d": f"{caps} M{low:.1f} {y:.1f} H{high:.1f}", "class": f"whisker {name}"})


def draw_mark(x: float, y: float, shape: str, *, name: str, title: str = "") -> Markup:
    """Return a mark: ``dot``, ``ring``, ``cross``, ``diamond`` or ``down``; the title is its tooltip."""
    tip = make_element("title", {}, title) if title else None
    kind = f"mark {shape} {name}"
    if shape in ("dot", "ring"):
        return make_element("circle", {"cx": x, "cy": y, "r": 7 if "winner" in name else 4.5, "class": kind}, tip)
    outline = {
        "cross": f"M{x - 4:.1f} {y - 4:.1f} l8 8 m0 -8 l-8 8",
        "diamond": f"M{x:.1f} {y - 6:.1f} l6 6 l-6 6 l-6 -6 z",
        "down": f"M{x - 5:.1f} {y - 4:.1f} h10 l-5 8 z",
    }[shape]
    return make_element("path", {"d": outline, "class": kind}, tip)


@dataclass(frozen=True)
class Label:
    """A label of the mark at (x, y); ``name`` becomes a CSS class."""

    x: float
    y: float
    words: str
    name: str

    def find_spots(self) -> Iterator[tuple[Box, bool]]:
        """Yield possible boxes, the best first, each with whether it is so far away that it needs a connecting line."""
        width = CHARACTER_PX * len(self.words)
        for distances, far in ((NEAR_PX, False), (FAR_PX, True)):
            for distance in distances:
                for across, down in DIRECTIONS:
                    x, y = self.x + across * distance, self.y + down * distance
                    left = x if across > 0 else x - width if across < 0 else x - width / 2
                    top = y - LINE_PX / 2 if abs(down) < 1 else y - LINE_PX if down < 0 else y
                    yield Box(left, top, left + width, top + LINE_PX), far

    def draw(self, box: Box, tie: tuple[float, float] | None) -> Markup:
        """Return the words in the box; a far label has a thin line from its mark to ``tie``."""
        anchor, x = ("end", box.right) if box.right <= self.x else ("start", box.left)
        if box.left < self.x < box.right:
            anchor, x = "middle", (box.left + box.right) / 2
        words = draw_text(x, box.bottom - 4, self.words, name=f"label {self.name}", anchor=anchor)
        return words if tie is None else join((draw_line(self.x, self.y, *tie, name="tie"), words))


def draw_labels(labels: Sequence[Label], obstacles: Sequence[Box], bounds: Box) -> Markup:
    """Return the labels, placed so that they cover neither each other nor an obstacle.

    In the order of the list, each gets the first free position around its mark; one without a free position is omitted.
    """
    taken = list(obstacles)
    parts = []
    for label in labels:
        for box, far in label.find_spots():
            if not box.lies_within(bounds) or any(box.overlaps(other) for other in taken):
                continue
            taken.append(box)
            tie = None
            if far:
                tie = min(max(label.x, box.left), box.right), min(max(label.y, box.top), box.bottom)
                taken += trace_line((label.x, label.y), tie, pieces=8)
            parts.append(label.draw(box, tie))
            break
    return join(parts)


def trace_line(start: tuple[float, float], end: tuple[float, float], *, pieces: int) -> list[Box]:
    """Return small boxes along a line, so that labels avoid the line, but not its whole bounding box."""
    (x1, y1), (x2, y2) = start, end
    places = [(x1 + (x2 - x1) * step / pieces, y1 + (y2 - y1) * step / pieces) for step in range(pieces + 1)]
    return [Box(x - 2, y - 2, x + 2, y + 2) for x, y in places]
