"""The same candidates as an older CPU would run them."""

from collections.abc import Sequence

from danmatte_workbench.report.markup import Markup, join, tag
from danmatte_workbench.report.run import Figure, IsaPoint, Run
from danmatte_workbench.report.tables import figure_cell, scrolled
from danmatte_workbench.report.words import term


def section(run: Run) -> Markup | None:
    """Instruction sets down, contenders across; bars are throughput to one scale."""
    if not run.isa:
        return None
    whos = list(dict.fromkeys(point.who for point in run.isa))
    metrics = [metric for metric in ("throughput", "latency", run.loss) if _measured(run.isa, metric)]
    first = tag("th", {"scope": "col", "rowspan": 2}, "Limited to")
    groups = [tag("th", {"scope": "colgroup", "colspan": len(metrics), "class": "group"}, who) for who in whos]
    titles = [
        tag("th", {"scope": "col", "class": "number"}, term(metric).title, tag("small", None, term(metric).unit))
        for _ in whos
        for metric in metrics
    ]
    highest = max((figure.value for point in run.isa if (figure := point.measurements.get("throughput"))), default=0.0)
    rows = [_row(run.isa, isa, whos, metrics, highest) for isa in dict.fromkeys(point.isa for point in run.isa)]
    table = scrolled(
        "Speed and accuracy by instruction set",
        tag("thead", None, tag("tr", None, first, *groups), tag("tr", None, *titles)),
        tag("tbody", None, *rows),
        name="isa",
    )
    return join((table, tag("p", {"class": "faint"}, NOTE)))


def _measured(points: Sequence[IsaPoint], metric: str) -> bool:
    return any(metric in point.measurements for point in points)


def _row(points: Sequence[IsaPoint], isa: str, whos: Sequence[str], metrics: Sequence[str], highest: float) -> Markup:
    cells = []
    for who in whos:
        found = next((point for point in points if point.isa == isa and point.who == who), None)
        for metric in metrics:
            figure = found.measurements.get(metric) if found else None
            cells.append(_first_cell(found, figure, highest) if metric == metrics[0] else figure_cell(figure, metric))
    return tag("tr", None, tag("th", {"scope": "row"}, isa, *_notes(points, isa)), *cells)


def _notes(points: Sequence[IsaPoint], isa: str) -> list[Markup]:
    """What is odd about a row, or why it is empty, each thing once."""
    said = [
        note
        for point in points
        if point.isa == isa
        for note in (point.note, "" if point.honoured else "not honoured: newer kernels ran")
    ]
    return [tag("small", None, note) for note in dict.fromkeys(said) if note]


def _first_cell(point: IsaPoint | None, figure: Figure | None, highest: float) -> Markup:
    """The throughput with a bar to the table's scale, and the kernels it ran in."""
    cell = figure_cell(figure, "throughput")
    if point is None or figure is None or highest <= 0:
        return cell
    bar = tag(
        "svg",
        {"class": "meter", "viewBox": "0 0 100 4", "preserveAspectRatio": "none", "aria-hidden": "true"},
        tag("rect", {"x": 0, "y": 0, "width": 100 * figure.value / highest, "height": 4, "class": "fill s0"}),
    )
    kernels = tag("small", None, point.effective) if point.effective else None
    return Markup(cell.removesuffix("</td>") + join((bar, kernels)) + "</td>")


NOTE = (
    "Measured on this machine with the kernels limited to the instruction set, so clock, caches and memory are "
    "this machine’s: a CPU of that age differs in those, too. What is lost is lost against the same graph as "
    "this CPU runs it without a limit. Under each throughput: the kernels that the heavy layers really ran in."
)
