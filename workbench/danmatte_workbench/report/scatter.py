"""The plot of accuracy against throughput: trials, Pareto front, budget and baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from danmatte_workbench.report import svg
from danmatte_workbench.report.records import Figure, RunRecord, TrialRecord
from danmatte_workbench.report.svg import LINE_PX, Attribute, Box, Label, Scale, make_element
from danmatte_workbench.report.words import (
    format_fixed,
    format_interval,
    format_measure,
    format_tick,
    get_term,
    sanitize,
)

SPEED = "throughput"
WIDE, NARROW = (1040, 520), (356, 420)
NAME_LETTERS = {WIDE: 36, NARROW: 30}
NAMED = {WIDE: ("winner", "baseline", "front", "broken", "kept", "open"), NARROW: ("winner", "baseline")}
SHOWN_BUDGETS = 3.0  # losses above this multiple of the budget are drawn at the edge
UNMEASURED_PX = 12  # above the lower edge
SHAPES = {"baseline": "diamond", "broken": "cross"}


@dataclass(frozen=True)
class PlottedTrial:
    """A trial or a baseline to draw; ``loss`` is None for a baseline whose loss wasn't measured."""

    name: str
    throughput: Figure
    loss: Figure | None
    role: str  # winner, front, kept, broken, open, baseline

    @property
    def shape(self) -> str:
        return SHAPES.get(self.role, "dot")


def draw_scatter(run: RunRecord) -> Markup | None:
    """Draw the plot in a wide and a narrow version, of which the page shows one; None if no trial has both figures."""
    plotted = find_plotted(run)
    if not any(item.loss and item.role != "baseline" for item in plotted):
        return None
    return svg.join(_Scatter(run, plotted, size).draw() for size in (WIDE, NARROW))


def draw_swatch(role: str) -> Markup:
    """Draw the mark of a role for the legend."""
    attributes: dict[str, Attribute] = {
        "viewBox": "0 0 16 16",
        "width": 16,
        "height": 16,
        "aria-hidden": "true",
        "class": "plot inline",
    }
    return make_element("svg", attributes, svg.draw_mark(8, 8, SHAPES.get(role, "dot"), name=role))


def find_front(trials: Sequence[TrialRecord], loss: str) -> tuple[TrialRecord, ...]:
    """Return the Pareto front: trials for which no faster one has a smaller or equal loss, by ascending throughput."""
    measured = [trial for trial in trials if SPEED in trial.measurements and loss in trial.measurements]
    ordered = sorted(measured, key=lambda trial: (-trial.measurements[SPEED].value, trial.measurements[loss].value))
    best, front = math.inf, []
    for trial in ordered:
        if trial.measurements[loss].value < best:
            best = trial.measurements[loss].value
            front.append(trial)
    return tuple(reversed(front))


def find_plotted(run: RunRecord) -> list[PlottedTrial]:
    """Return all trials and baselines of the plot with their roles."""
    front = {trial.name for trial in find_front(run.trials, run.loss)}
    plotted = [
        PlottedTrial(name, figures[SPEED], figures.get(run.loss), "baseline")
        for name, figures in run.baselines.items()
        if SPEED in figures
    ]
    for trial in run.trials:
        if SPEED not in trial.measurements or run.loss not in trial.measurements:
            continue
        role = "front" if trial.name in front else "kept"
        if trial.name == run.winner:
            role = "winner"
        elif not trial.accepted:
            role = "broken" if trial.word == "rejected" else "open"
        plotted.append(PlottedTrial(trial.name, trial.measurements[SPEED], trial.measurements[run.loss], role))
    return plotted


class _Scatter:
    """One plot of a given size: scales, positions and drawing."""

    def __init__(self, run: RunRecord, plotted: Sequence[PlottedTrial], size: tuple[int, int]) -> None:
        self.run, self.plotted, self.size = run, plotted, size
        self.field = Box(52, 44, size[0] - 14, size[1] - 52)
        self.limit = run.limit(run.loss)
        slowest = min(item.throughput.low for item in plotted)
        fastest = max(item.throughput.high for item in plotted)
        slowest = max(slowest, fastest * 1e-4, 1e-9)
        ends = slowest * 0.85, max(fastest * 1.2, slowest * 2)
        self.x = Scale(*ends, self.field.left, self.field.right, logarithmic=True)
        self.y = self._scale_losses()
        # The front is a step function, because nothing between two of its trials was measured.
        self.steps: list[tuple[float, float]] = []
        for trial in find_front(run.trials, run.loss):
            across = self.x.clamp(trial.measurements[SPEED].value)
            down = self.y.clamp(trial.measurements[run.loss].value)
            self.steps += [(self.steps[-1][0] if self.steps else across, down), (across, down)]

    def _scale_losses(self) -> Scale:
        """Return the scale of losses, smaller ones higher. Very large losses are beyond its end, drawn at the edge."""
        losses = [item.loss for item in self.plotted if item.loss]
        limit = self.limit or 0.0
        low = min(0.0, *(loss.low for loss in losses), limit)
        high = max(0.0, *(loss.high for loss in losses), limit)
        kept = [item.loss.high for item in self.plotted if item.loss and item.role in ("winner", "front", "kept")]
        if limit > 0:
            high = min(high, max(SHOWN_BUDGETS * limit, *kept, 0.0))
        span = max(high - low, 0.05)
        return Scale(low - 0.1 * span, high + 0.12 * span, self.field.top, self.field.bottom)

    def draw(self) -> Markup:
        winner_last = sorted(self.plotted, key=lambda item: item.role == "winner")
        parts = [
            *self._draw_ground(),
            svg.draw_path(self.steps, "front") if self.steps else None,
            *(self._draw_whiskers(item) for item in self.plotted),
            *(self._draw_mark(item) for item in winner_last),
            svg.draw_labels(self._name_marks(), self._find_obstacles(), self.field),
        ]
        words = f"{get_term(self.run.loss).title} against throughput of {len(self.plotted)} trials and baselines"
        name = "wide" if self.size == WIDE else "narrow"
        return svg.draw_chart(*self.size, label=f"{words}; the table has the figures", name=name, parts=parts)

    def _draw_ground(self) -> list[Markup]:
        """Draw axes, the budget's line, the area beyond it, and the speedups along the top."""
        x, y, field, term = self.x, self.y, self.field, get_term(self.run.loss)
        count = 9 if self.size == WIDE else 4
        parts = []
        if self.limit is not None and y.low < self.limit < y.high:
            level = y(self.limit)
            area = {"x": field.left, "y": level, "width": field.right - field.left, "height": field.bottom - level}
            parts += [
                make_element("rect", {**area, "class": "beyond"}),
                svg.draw_line(field.left, level, field.right, level, name="budget"),
                svg.draw_text(
                    field.left + 6, level + 14, f"budget: {format_tick(self.limit)} {term.unit}", name="label over"
                ),
            ]
        parts += [
            svg.draw_bottom_axis(x, field.bottom, "frames a second", ticks=x.find_ticks(count), top=field.top),
            svg.draw_left_axis(y, field.left, ticks=y.find_ticks(6), right=field.right),
            svg.draw_text(4, 14, f"{term.title}, {term.unit} (up is better)", name="axis"),
        ]
        base = self._find_base()
        if base is not None and base > 0:
            speedups = Scale(x.low / base, x.high / base, x.start, x.end, logarithmic=True)
            parts.append(svg.draw_line(x(base), field.top, x(base), field.bottom, name="base"))
            for speedup in speedups.find_ticks(count):
                words = f"{format_tick(speedup)}×"
                parts.append(svg.draw_text(speedups(speedup), field.top - 8, words, anchor="middle"))
        return parts

    def _find_base(self) -> float | None:
        """Return the throughput of the fastest baseline; None if it wasn't measured."""
        figure = self.run.baselines.get(self.run.fastest_baseline, {}).get(SPEED)
        return figure.value if figure else None

    def _place(self, item: PlottedTrial) -> tuple[float, float]:
        """Return the position of a mark, limited to the plot; without a loss, at the lower edge."""
        down = self.y.clamp(item.loss.value) if item.loss else self.field.bottom - UNMEASURED_PX
        return self.x.clamp(item.throughput.value), down

    def _draw_whiskers(self, item: PlottedTrial) -> Markup:
        across, down = self._place(item)
        ends = self.x.clamp(item.throughput.low), self.x.clamp(item.throughput.high)
        parts = [svg.draw_horizontal_whisker(down, *ends, item.role)]
        if item.loss and self.y.low <= item.loss.value <= self.y.high:
            ends = self.y.clamp(item.loss.low), self.y.clamp(item.loss.high)
            parts.append(svg.draw_vertical_whisker(across, *ends, item.role))
        return svg.join(parts)

    def _draw_mark(self, item: PlottedTrial) -> Markup:
        shape = "down" if item.loss and item.loss.value > self.y.high else item.shape
        loss = self.run.loss
        title = f"{item.name}: {format_measure(item.throughput, SPEED)} [{format_interval(item.throughput, SPEED)}]"
        title += "" if item.loss else f", {get_term(loss).title} not measured"
        if item.loss:
            title += f", {get_term(loss).title} {format_measure(item.loss, loss)} [{format_interval(item.loss, loss)}]"
        name = item.role if item.loss else f"{item.role} unmeasured"
        return svg.draw_mark(*self._place(item), shape, name=name, title=title)

    def _name_marks(self) -> list[Label]:
        """Return the labels of the marks, the most important first."""
        order, letters = NAMED[self.size], NAME_LETTERS[self.size]
        labels = []
        shown = [item for item in self.plotted if item.role in order]
        for item in sorted(shown, key=lambda item: order.index(item.role)):
            name = sanitize(item.name)
            words = name if len(name) <= letters else name[: letters - 1] + "…"
            if item.loss and item.loss.value > self.y.high:
                words += f" ({format_fixed(item.loss.value, 1)})"
            words += "" if item.loss else " (loss not measured)"
            labels.append(Label(*self._place(item), words, item.role))
        return labels

    def _find_obstacles(self) -> list[Box]:
        """Return the areas that labels have to avoid: marks, whiskers, front, and the lines and label of the budget."""
        x, y, field = self.x, self.y, self.field
        boxes = []
        for item in self.plotted:
            (across, down), reach = self._place(item), 8.0
            boxes.append(Box(across - reach, down - reach, across + reach, down + reach))
            boxes.append(Box(x.clamp(item.throughput.low), down - 2, x.clamp(item.throughput.high), down + 2))
            if item.loss:
                boxes.append(Box(across - 2, y.clamp(item.loss.low), across + 2, y.clamp(item.loss.high)))
        for (x1, y1), (x2, y2) in pairwise(self.steps):
            boxes.append(Box(min(x1, x2) - 2, min(y1, y2) - 2, max(x1, x2) + 2, max(y1, y2) + 2))
        base = self._find_base()
        if base is not None:
            boxes.append(Box(x(base) - 1, field.top, x(base) + 1, field.bottom))
        if self.limit is not None and y.low < self.limit < y.high:
            level = y(self.limit)
            boxes.append(Box(field.left, level - 1, field.right, level + 1))
            boxes.append(Box(field.left, level, field.left + 170, level + LINE_PX + 3))
        return boxes
