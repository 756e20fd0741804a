"""Tables that scroll by themselves on a narrow page, and their cells."""

from collections.abc import Iterable

from danmatte_workbench.report.markup import Child, Markup, tag
from danmatte_workbench.report.run import Figure
from danmatte_workbench.report.words import interval, value


def scrolled(label: str, *parts: Child, sortable: bool = False, name: str = "") -> Markup:
    """A table in a region of its own, which the keyboard can reach and scroll."""
    table = tag("table", {"class": name or None, "data-sortable": sortable}, *parts)
    return tag("div", {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": label}, table)


def figure_cell(figure: Figure | None, metric: str, *, name: str = "") -> Markup:
    """The value, its interval under it, and the number that sorting goes by."""
    kind = f"number {name}".strip()
    if figure is None:
        return tag("td", {"class": f"{kind} none"}, "–")
    shown = (value(figure, metric), tag("small", None, interval(figure, metric)) if metric != "size_bytes" else None)
    return tag("td", {"class": kind, "data-value": repr(figure.value)}, *shown)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Names and what they stand for."""
    rows = [tag("div", None, tag("dt", None, name), tag("dd", None, content)) for name, content in pairs]
    return tag("dl", {"class": "facts"}, *rows)
