"""Accuracy against throughput: every trial, the Pareto front, the budget, the baselines."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from danmatte_workbench.report import plot
from danmatte_workbench.report.labels import LINE_PX, Wish, place
from danmatte_workbench.report.markup import Markup, Value, join, tag
from danmatte_workbench.report.plot import Box, Scale
from danmatte_workbench.report.run import Figure, Run, Trial
from danmatte_workbench.report.words import fixed, interval, measure, plain, term, tick

SPEED = "throughput"
WIDE, NARROW = (1040, 520), (356, 420)
NAME_LETTERS = {WIDE: 36, NARROW: 30}
NAMED = {WIDE: ("winner", "baseline", "front", "broken", "kept"), NARROW: ("winner", "baseline")}
SHOWN_BUDGETS = 3.0  # what loses more than so many budgets is drawn at the edge


@dataclass(frozen=True)
class Spot:
    """A trial or a baseline to draw; a loss without interval is one by definition or by lack of measurement."""

    name: str
    throughput: Figure
    loss: Figure | None
    role: str  # winner, front, kept, broken, baseline


def figure(run: Run) -> Markup | None:
    """The plot, wide and narrow, of which the page shows one; None where nothing has both figures."""
    spots = _spots(run)
    if not any(spot.loss and spot.role != "baseline" for spot in spots):
        return None
    return join((_plot(run, spots, WIDE), _plot(run, spots, NARROW)))


def roles(run: Run) -> set[str]:
    """Those that the plot shows."""
    return {spot.role for spot in _spots(run)}


def swatch(role: str) -> Markup:
    """The mark of a role, for the key."""
    shape = {"baseline": "diamond", "broken": "cross"}.get(role, "dot")
    attributes: dict[str, Value] = {
        "viewBox": "0 0 16 16",
        "width": 16,
        "height": 16,
        "aria-hidden": "true",
        "class": "plot inline",
    }
    return tag("svg", attributes, plot.mark(8, 8, shape, name=role))


def front(trials: Sequence[Trial], loss: str) -> tuple[Trial, ...]:
    """The trials that no other beats in throughput without losing more, by rising throughput."""
    measured = [trial for trial in trials if SPEED in trial.measurements and loss in trial.measurements]
    ordered = sorted(measured, key=lambda trial: (-trial.measurements[SPEED].value, trial.measurements[loss].value))
    best, found = math.inf, []
    for trial in ordered:
        if trial.measurements[loss].value < best:
            best = trial.measurements[loss].value
            found.append(trial)
    return tuple(reversed(found))


def _spots(run: Run) -> list[Spot]:
    ahead = {trial.name for trial in front(run.trials, run.loss)}
    spots = [
        Spot(name, figures[SPEED], figures.get(run.loss), "baseline")
        for name, figures in run.baselines.items()
        if SPEED in figures
    ]
    for trial in run.trials:
        if SPEED in trial.measurements and run.loss in trial.measurements:
            figures = trial.measurements
            spots.append(Spot(trial.name, figures[SPEED], figures[run.loss], _role(trial, run, ahead)))
    return spots


def _role(trial: Trial, run: Run, ahead: set[str]) -> str:
    if trial.name == run.winner:
        return "winner"
    if not trial.accepted:
        return "broken"
    return "front" if trial.name in ahead else "kept"


def _plot(run: Run, spots: Sequence[Spot], size: tuple[int, int]) -> Markup:
    width, height = size
    wide = size == WIDE
    field = Box(52, 44, width - 14, height - 52)
    x, y = _across(spots, field), _down(run, spots, field)
    drawn = [
        _ground(run, x, y, field, wide=wide),
        _front_line(run, x, y),
        *(_whiskers(spot, x, y) for spot in spots),
        *(_mark(spot, run, x, y) for spot in sorted(spots, key=lambda spot: spot.role == "winner")),
        place(_wishes(spots, x, y, size), _obstacles(run, spots, x, y, field), field),
    ]
    label = f"{term(run.loss).title} against throughput of {len(spots)} trials and baselines; the table has the figures"
    return plot.svg(width, height, label=label, name="wide" if wide else "narrow", parts=drawn)


def _across(spots: Sequence[Spot], field: Box) -> Scale:
    low = min(spot.throughput.low for spot in spots)
    high = max(spot.throughput.high for spot in spots)
    low = max(low, high * 1e-4, 1e-9)
    return Scale(low * 0.85, max(high * 1.2, low * 2), field.left, field.right, logarithmic=True)


def _down(run: Run, spots: Sequence[Spot], field: Box) -> Scale:
    """Less loss is higher; the far losers are held at the edge so that they don't flatten the rest."""
    losses = [spot.loss for spot in spots if spot.loss]
    limit = run.limit(run.loss) or 0.0
    low = min(0.0, *(loss.low for loss in losses), limit)
    high = max(0.0, *(loss.high for loss in losses), limit)
    kept = [spot.loss.high for spot in spots if spot.loss and spot.role in ("winner", "front", "kept")]
    if limit > 0:
        high = min(high, max(SHOWN_BUDGETS * limit, *kept, 0.0))
    span = max(high - low, 0.05)
    return Scale(low - 0.1 * span, high + 0.12 * span, field.top, field.bottom)


def _ground(run: Run, x: Scale, y: Scale, field: Box, *, wide: bool) -> Markup:
    """Axes, the speedup along the top, the budget's line and what lies beyond it."""
    title = f"{term(run.loss).title}, {term(run.loss).unit} (up is better)"
    parts = [
        *_beyond(run, y, field),
        plot.bottom_axis(x, field.bottom, "frames a second", ticks=x.ticks(9 if wide else 4), top=field.top),
        plot.left_axis(y, field.left, ticks=y.ticks(6), right=field.right),
        plot.text(4, 14, title, name="axis"),
        *_speedups(run, x, field, 9 if wide else 4),
    ]
    return join(parts)


def _beyond(run: Run, y: Scale, field: Box) -> list[Markup]:
    limit = run.limit(run.loss)
    if limit is None or not y.low < limit < y.high:
        return []
    area: dict[str, Value] = {
        "x": field.left,
        "y": y(limit),
        "width": field.right - field.left,
        "height": field.bottom - y(limit),
        "class": "beyond",
    }
    words = f"budget: {tick(limit)} {term(run.loss).unit}"
    return [
        tag("rect", area),
        plot.line(field.left, y(limit), field.right, y(limit), name="budget"),
        plot.text(field.left + 6, y(limit) + 14, words, name="label over"),
    ]


def _speedups(run: Run, x: Scale, field: Box, count: int) -> list[Markup]:
    """The top axis: the same throughput as a multiple of the fastest baseline."""
    base = run.baselines.get(run.fastest_baseline, {}).get(SPEED)
    if base is None or base.value <= 0:
        return []
    times = Scale(x.low / base.value, x.high / base.value, x.start, x.end, logarithmic=True)
    marks = [plot.text(times(value), field.top - 8, f"{tick(value)}×", anchor="middle") for value in times.ticks(count)]
    return [plot.line(x(base.value), field.top, x(base.value), field.bottom, name="base"), *marks]


def _front_line(run: Run, x: Scale, y: Scale) -> Markup | None:
    """What can be had: between two trials of the front, the slower one's loss isn't to be had any more."""
    points = _steps(run, x, y)
    return plot.path(points, "front") if points else None


def _steps(run: Run, x: Scale, y: Scale) -> list[tuple[float, float]]:
    points: list[tuple[float, float]] = []
    for trial in front(run.trials, run.loss):
        across, down = x(trial.measurements[SPEED].value), y.held(trial.measurements[run.loss].value)
        points += [(points[-1][0] if points else across, down), (across, down)]
    return points


def _level(spot: Spot, y: Scale) -> float:
    """Baselines without a loss of their own stand on the line of no loss."""
    return y.held(spot.loss.value if spot.loss else 0.0)


def _whiskers(spot: Spot, x: Scale, y: Scale) -> Markup:
    level = _level(spot, y)
    parts = [plot.level(level, x.held(spot.throughput.low), x.held(spot.throughput.high), spot.role)]
    if spot.loss and y.low <= spot.loss.value <= y.high:
        parts.append(plot.upright(x(spot.throughput.value), y.held(spot.loss.low), y.held(spot.loss.high), spot.role))
    return join(parts)


def _mark(spot: Spot, run: Run, x: Scale, y: Scale) -> Markup:
    shape = {"baseline": "diamond", "broken": "cross"}.get(spot.role, "dot")
    if spot.loss and spot.loss.value > y.high:
        shape = "down"
    told = f"{spot.name}: {measure(spot.throughput, SPEED)} [{interval(spot.throughput, SPEED)}]"
    if spot.loss:
        told += f", {term(run.loss).title} {measure(spot.loss, run.loss)} [{interval(spot.loss, run.loss)}]"
    return plot.mark(x(spot.throughput.value), _level(spot, y), shape, name=spot.role, title=told)


def _wishes(spots: Sequence[Spot], x: Scale, y: Scale, size: tuple[int, int]) -> list[Wish]:
    """Names to write, the most telling first."""
    order, letters = NAMED[size], NAME_LETTERS[size]
    wishes = []
    named = [spot for spot in spots if spot.role in order]
    for spot in sorted(named, key=lambda spot: order.index(spot.role)):
        name = plain(spot.name)
        words = name if len(name) <= letters else name[: letters - 1] + "…"
        if spot.loss and spot.loss.value > y.high:
            words += f" ({fixed(spot.loss.value, 1)})"
        wishes.append(Wish(x(spot.throughput.value), _level(spot, y), words, spot.role))
    return wishes


def _obstacles(run: Run, spots: Sequence[Spot], x: Scale, y: Scale, field: Box) -> list[Box]:
    """Marks, whiskers, and the budget's words and line."""
    boxes = []
    for spot in spots:
        across, down, reach = x(spot.throughput.value), _level(spot, y), 8.0
        boxes.append(Box(across - reach, down - reach, across + reach, down + reach))
        boxes.append(Box(x.held(spot.throughput.low), down - 2, x.held(spot.throughput.high), down + 2))
        if spot.loss:
            boxes.append(Box(across - 2, y.held(spot.loss.low), across + 2, y.held(spot.loss.high)))
    for (x1, y1), (x2, y2) in pairwise(_steps(run, x, y)):
        boxes.append(Box(min(x1, x2) - 2, min(y1, y2) - 2, max(x1, x2) + 2, max(y1, y2) + 2))
    base = run.baselines.get(run.fastest_baseline, {}).get(SPEED)
    if base:
        boxes.append(Box(x(base.value) - 1, field.top, x(base.value) + 1, field.bottom))
    limit = run.limit(run.loss)
    if limit is not None and y.low < limit < y.high:
        boxes.append(Box(field.left, y(limit) - 1, field.right, y(limit) + 1))
        boxes.append(Box(field.left, y(limit), field.left + 170, y(limit) + LINE_PX + 3))
    return boxes
