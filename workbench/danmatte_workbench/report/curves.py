"""The sweep as curves: throughput and latency by batch and by threads, the best of all else at each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from danmatte_workbench.report import plot
from danmatte_workbench.report.labels import Wish, place
from danmatte_workbench.report.markup import Markup, join, tag
from danmatte_workbench.report.plot import Box, Scale
from danmatte_workbench.report.run import Figure, Point, Run
from danmatte_workbench.report.tables import figure_cell, scrolled
from danmatte_workbench.report.words import interval, measure, plain, settings

WIDE, NARROW = (520, 270), (356, 250)
NAME_LETTERS = {WIDE: 34, NARROW: 26}
AXES: tuple[tuple[str, str, Callable[[Point], int]], ...] = (
    ("batch", "frames in a batch", lambda point: point.batch),
    ("threads", "threads", lambda point: point.threads),
)
METRICS = (("throughput", "frames a second"), ("latency", "milliseconds a request"))


@dataclass(frozen=True)
class Curve:
    """One contender's best points, by rising x; ``rank`` chooses its colour."""

    who: str
    rank: int
    points: tuple[tuple[int, Point], ...]


def section(run: Run) -> Markup | None:
    """All curves that have at least two places along their axis, and every point in a table."""
    panels = [
        _panel(run, metric, axis)
        for axis in AXES
        for metric in METRICS
        if len({axis[2](point) for point in run.sweep if _figure(point, metric[0])} - {0}) > 1
    ]
    if not run.sweep:
        return None
    unsettled = sum(not point.agreed for point in run.sweep)
    said = (
        "Each line joins the best that any other setting gave at that place; whiskers are 95 % intervals. "
        "Hollow: the measuring windows did not agree within the time given"
        f" ({unsettled} of {len(run.sweep)} points), so believe the whisker more than the point."
    )
    listing = tag("details", None, tag("summary", None, f"All {len(run.sweep)} points"), _table(run.sweep))
    grid = tag("div", {"class": "panels"}, *panels) if panels else None
    return join((grid, _legend(run) if panels else None, tag("p", {"class": "faint"}, said), listing))


def _panel(run: Run, metric: tuple[str, str], axis: tuple[str, str, Callable[[Point], int]]) -> Markup:
    """The same plot for wide pages and for narrow ones."""
    curves = _curves(run, metric[0], axis[2])
    return tag("figure", None, *(_drawn(curves, metric, axis[:2], size) for size in (WIDE, NARROW)))


def _drawn(curves: Sequence[Curve], metric: tuple[str, str], axis: tuple[str, str], size: tuple[int, int]) -> Markup:
    field = Box(50, 30, size[0] - 14, size[1] - 48)
    places = sorted({place for curve in curves for place, _ in curve.points})
    figures = [figure for curve in curves for _, point in curve.points if (figure := _figure(point, metric[0]))]
    x = Scale(places[0] / 1.15, places[-1] * 1.15, field.left, field.right, logarithmic=True)
    y = Scale(0, max(figure.high for figure in figures) * 1.1 or 1, field.bottom, field.top)
    title = f"{metric[1].capitalize()} by {axis[0]}"
    parts = [
        plot.bottom_axis(x, field.bottom, axis[1], ticks=_spread(places, x), top=field.top),
        plot.left_axis(y, field.left, ticks=y.ticks(5), right=field.right),
        plot.text(0, 14, title, name="axis strong"),
        *(_draw(curve, metric[0], x, y) for curve in curves),
        place(_wishes(curves, metric[0], x, y, NAME_LETTERS[size]), _obstacles(curves, metric[0], x, y), field),
    ]
    name = "wide" if size == WIDE else "narrow"
    return plot.svg(*size, label=f"{title}; the table below has the figures", name=name, parts=parts)


def _curves(run: Run, metric: str, along: Callable[[Point], int]) -> list[Curve]:
    return [
        Curve(who, rank, tuple((place, best) for place, best in _best(run.sweep, who, metric, along)))
        for rank, who in enumerate(_contenders(run))
    ]


def _contenders(run: Run) -> list[str]:
    """Who was swept, in the order of the run."""
    return list(dict.fromkeys(point.who for point in run.sweep))


def _best(points: Iterable[Point], who: str, metric: str, along: Callable[[Point], int]) -> list[tuple[int, Point]]:
    """At each place the highest throughput or the lowest latency."""
    sign = 1.0 if metric == "throughput" else -1.0
    found: dict[int, tuple[float, Point]] = {}
    for point in points:
        figure = _figure(point, metric)
        if point.who != who or figure is None or along(point) < 1:  # 0 threads: whatever the device takes
            continue
        rank = sign * figure.value
        if along(point) not in found or rank > found[along(point)][0]:
            found[along(point)] = (rank, point)
    return [(place, point) for place, (_, point) in sorted(found.items(), key=lambda item: item[0])]


def _figure(point: Point, metric: str) -> Figure | None:
    return point.throughput if metric == "throughput" else point.latency


def _spread(places: Sequence[int], scale: Scale) -> list[float]:
    """Places far enough from their neighbour for a number each."""
    kept: list[float] = []
    for position in places:
        if not kept or scale(position) - scale(kept[-1]) > 26:
            kept.append(position)
    return kept


def _draw(curve: Curve, metric: str, x: Scale, y: Scale) -> Markup:
    parts = []
    told = [(place, point, figure) for place, point in curve.points if (figure := _figure(point, metric))]
    if len(told) > 1:
        parts.append(plot.path([(x(place), y(figure.value)) for place, _, figure in told], f"curve s{curve.rank % 6}"))
    for position, point, figure in told:
        series = f"s{curve.rank % 6}"
        title = f"{curve.who}: {measure(figure, metric)} [{interval(figure, metric)}], {_setting(point)}"
        parts.append(plot.upright(x(position), y.held(figure.low), y.held(figure.high), series))
        parts.append(
            plot.mark(x(position), y(figure.value), "dot" if point.agreed else "ring", name=series, title=title)
        )
    return join(parts)


def _wishes(curves: Sequence[Curve], metric: str, x: Scale, y: Scale, letters: int) -> list[Wish]:
    """Each name at its curve's right end."""
    wishes = []
    for curve in curves:
        if not curve.points:
            continue
        position, point = curve.points[-1]
        figure = _figure(point, metric)
        words = plain(curve.who)
        words = words if len(words) <= letters else words[: letters - 1] + "…"
        if figure:
            wishes.append(Wish(x(position), y(figure.value), words, f"s{curve.rank % 6}"))
    return wishes


def _obstacles(curves: Sequence[Curve], metric: str, x: Scale, y: Scale) -> list[Box]:
    """Marks with whiskers, and the lines between them in short pieces."""
    boxes = []
    for curve in curves:
        spots = [
            (x(place), y(figure.value), y(figure.high), y(figure.low))
            for place, point in curve.points
            if (figure := _figure(point, metric))
        ]
        boxes += [
            Box(across - 5, min(high, down - 5), across + 5, max(low, down + 5)) for across, down, high, low in spots
        ]
        for (x1, y1, _, _), (x2, y2, _, _) in pairwise(spots):
            steps = [(x1 + (x2 - x1) * part / 12, y1 + (y2 - y1) * part / 12) for part in range(13)]
            boxes += [Box(across - 2, down - 2, across + 2, down + 2) for across, down in steps]
    return boxes


def _legend(run: Run) -> Markup:
    entries = [
        tag("li", None, tag("span", {"class": f"swatch s{rank % 6}"}), who) for rank, who in enumerate(_contenders(run))
    ]
    return tag("ul", {"class": "legend"}, *entries)


def _setting(point: Point) -> str:
    given = {
        "batch": point.batch,
        "streams": point.streams,
        "threads": point.threads,
        "requests": point.requests,
        "pinning": point.pinning,
    }
    return settings(given) + ("" if point.agreed else " · windows did not agree")


def _table(points: Sequence[Point]) -> Markup:
    titles = ("Who", "Batch", "Streams", "Threads", "Requests", "Pinned", "Frames/s", "Milliseconds", "Windows")
    head = tag("tr", None, *(tag("th", {"scope": "col"}, title) for title in titles))
    rows = [tag("tr", None, *_cells(point)) for point in points]
    return scrolled("All points of the sweep", tag("thead", None, head), tag("tbody", None, *rows), sortable=True)


def _cells(point: Point) -> list[Markup]:
    numbers = (point.batch, point.streams, point.threads, point.requests)
    pinned = {True: "yes", False: "no", None: "–"}[point.pinning]
    return [
        tag("th", {"scope": "row"}, point.who),
        *(tag("td", {"class": "number", "data-value": count}, str(count)) for count in numbers),
        tag("td", None, pinned),
        *(figure_cell(_figure(point, metric), metric) for metric, _ in METRICS),
        tag("td", None, "agreed" if point.agreed else "did not agree"),
    ]
