"""Curves of a sweep: the best throughput and latency for each batch size and each number of threads."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from danmatte_workbench.report import svg
from danmatte_workbench.report.records import Figure, RunRecord, SweepRecord
from danmatte_workbench.report.svg import Box, Label, Scale
from danmatte_workbench.report.words import format_interval, format_measure, format_settings, sanitize

WIDE, NARROW = (520, 270), (356, 250)
NAME_LETTERS = {WIDE: 34, NARROW: 26}
NUMBER_PX = 26  # room for a number on an axis


@dataclass(frozen=True)
class Axis:
    """The horizontal axis of a panel: its words, and a point's position on it."""

    name: str
    title: str
    place: Callable[[SweepRecord], int]


AXES = (
    Axis("batch", "frames in a batch", lambda point: point.batch),
    Axis("threads", "threads", lambda point: point.threads),
)
METRICS = (("throughput", "frames a second"), ("latency", "milliseconds a request"))


@dataclass(frozen=True)
class PlottedCurve:
    """The best points of one swept graph with their figures, by ascending position; ``rank`` selects the colour."""

    who: str
    rank: int
    points: tuple[tuple[int, SweepRecord, Figure], ...]

    @property
    def series(self) -> str:
        return f"s{self.rank % 6}"


def list_swept(run: RunRecord) -> list[str]:
    """Return the names of the swept graphs, in the order of the run."""
    return list(dict.fromkeys(point.who for point in run.sweep))


def draw_panels(run: RunRecord) -> list[Markup]:
    """Draw a plot for each metric and axis with at least two positions, each in a wide and a narrow version."""
    panels = []
    for axis in AXES:
        for metric, unit in METRICS:
            curves = [find_best(run.sweep, who, rank, metric, axis) for rank, who in enumerate(list_swept(run))]
            if len({place for curve in curves for place, *_ in curve.points}) > 1:
                title = f"{unit.capitalize()} by {axis.name}"
                panels.append(svg.join(_draw_panel(curves, metric, title, axis, size) for size in (WIDE, NARROW)))
    return panels


def find_best(points: Sequence[SweepRecord], who: str, rank: int, metric: str, axis: Axis) -> PlottedCurve:
    """Return the curve of the highest throughput, or the lowest latency, at each position of the axis."""
    sign = 1.0 if metric == "throughput" else -1.0
    best: dict[int, tuple[float, SweepRecord, Figure]] = {}
    for point in points:
        figure = get_figure(point, metric)
        place = axis.place(point)
        if point.who != who or figure is None or place < 1:  # 0 threads means that the device chooses
            continue
        if place not in best or sign * figure.value > best[place][0]:
            best[place] = (sign * figure.value, point, figure)
    return PlottedCurve(who, rank, tuple((place, point, figure) for place, (_, point, figure) in sorted(best.items())))


def get_figure(point: SweepRecord, metric: str) -> Figure | None:
    """Return the point's throughput or latency."""
    return point.throughput if metric == "throughput" else point.latency


def _draw_panel(curves: Sequence[PlottedCurve], metric: str, title: str, axis: Axis, size: tuple[int, int]) -> Markup:
    field = Box(50, 30, size[0] - 14, size[1] - 48)
    places = sorted({place for curve in curves for place, *_ in curve.points})
    highest = max(figure.high for curve in curves for *_, figure in curve.points)
    x = Scale(places[0] / 1.15, places[-1] * 1.15, field.left, field.right, logarithmic=True)
    y = Scale(0, highest * 1.1 or 1, field.bottom, field.top)
    ticks: list[float] = []
    for place in places:
        if not ticks or x(place) - x(ticks[-1]) > NUMBER_PX:
            ticks.append(place)
    parts = [
        svg.draw_bottom_axis(x, field.bottom, axis.title, ticks=ticks, top=field.top),
        svg.draw_left_axis(y, field.left, ticks=y.find_ticks(5), right=field.right),
        svg.draw_text(0, 14, title, name="axis strong"),
        *(_draw_curve(curve, metric, x, y) for curve in curves),
        _draw_names(curves, x, y, NAME_LETTERS[size], field),
    ]
    name = "wide" if size == WIDE else "narrow"
    return svg.draw_chart(*size, label=f"{title}; the table below has the figures", name=name, parts=parts)


def _draw_curve(curve: PlottedCurve, metric: str, x: Scale, y: Scale) -> Markup:
    parts = []
    if len(curve.points) > 1:
        line = [(x(place), y(figure.value)) for place, _, figure in curve.points]
        parts.append(svg.draw_path(line, f"curve {curve.series}"))
    for place, point, figure in curve.points:
        parts.append(svg.draw_vertical_whisker(x(place), y.clamp(figure.low), y.clamp(figure.high), curve.series))
        setting = {name: getattr(point, name) for name in ("batch", "streams", "threads", "requests", "pinning")}
        words = f"{curve.who}: {format_measure(figure, metric)} [{format_interval(figure, metric)}], "
        words += format_settings(setting) + ("" if point.agreed else " · windows did not agree")
        shape = "dot" if point.agreed else "ring"
        parts.append(svg.draw_mark(x(place), y(figure.value), shape, name=curve.series, title=words))
    return svg.join(parts)


def _draw_names(curves: Sequence[PlottedCurve], x: Scale, y: Scale, letters: int, field: Box) -> Markup:
    """Draw each name at the right end of its curve, without covering marks, whiskers or lines."""
    labels, obstacles = [], []
    for curve in curves:
        line = [(x(place), y(figure.value)) for place, _, figure in curve.points]
        for (across, down), (*_, figure) in zip(line, curve.points, strict=True):
            obstacles.append(Box(across - 5, min(y(figure.high), down - 5), across + 5, max(y(figure.low), down + 5)))
        for start, end in pairwise(line):
            obstacles += svg.trace_line(start, end, pieces=12)
        if line:
            name = sanitize(curve.who)
            words = name if len(name) <= letters else name[: letters - 1] + "…"
            labels.append(Label(*line[-1], words, curve.series))
    return svg.draw_labels(labels, obstacles, field)
