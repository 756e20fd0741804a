"""Two runs side by side, as a page of its own."""

from collections.abc import Sequence

from danmatte_workbench.report import page
from danmatte_workbench.report.compare import Comparison, Contrast, Match, Row
from danmatte_workbench.report.markup import Child, Markup, tag
from danmatte_workbench.report.run import Run, Trial
from danmatte_workbench.report.tables import figure_cell, scrolled
from danmatte_workbench.report.words import interval, measure, moment, plain, term

SAID = {
    "better": ("faster", "better"),
    "worse": ("slower", "worse"),
    "noise": ("none", "within the noise"),
    "equal": ("none", "the same"),
    "incomparable": ("none", ""),
}


def render(found: Comparison) -> str:
    """The page's text."""
    a, b = found.a, found.b
    parts = (
        ("winners", "The winners", _winners(found)),
        ("changed", "What changed", _rows([row for row in found.rows if row.changed])),
        ("trials", "Trials of the same name", _trials(found)),
        ("same", "What stayed the same", _rows([row for row in found.rows if not row.changed])),
    )
    header = tag(
        "header",
        None,
        tag("p", {"class": "kicker"}, "Two workbench runs"),
        tag("h1", None, _title(a, b)),
        tag("p", {"class": "summary"}, f"A: {moment(a.started)}. B: {moment(b.started)}. Changes go from A to B."),
        *(tag("p", {"class": "notice"}, notice) for notice in found.notices),
    )
    sections = [page.section(identity, title, content) for identity, title, content in parts]
    footer = tag(
        "footer",
        None,
        "Intervals of changes are made from the ends of both runs’ 95 % intervals: rather too wide than too narrow.",
    )
    title = f"{plain(b.source.name)} · two workbench runs"
    return page.document(title, header, tag("main", None, *sections), footer)


def _title(a: Run, b: Run) -> str:
    named = a.source.name if a.source.name == b.source.name else f"{a.source.name} and {b.source.name}"
    return f"{named}, two runs compared"


def _winners(found: Comparison) -> Markup:
    sides = (("A", found.a), ("B", found.b))
    return tag("div", {"class": "pair"}, *(_winner(side, run) for side, run in sides))


def _winner(side: str, run: Run) -> Markup:
    chosen = run.chosen
    told: list[Child] = [tag("h3", None, f"{side} · {moment(run.started)}")]
    if chosen is None:
        return tag("div", None, *told, tag("p", None, "Nothing could be measured."))
    state = "winner" if run.winner else "nothing met the budget; the nearest"
    told.append(tag("p", None, tag("strong", None, chosen.name), f", {state}"))
    items = [
        tag("li", None, f"{term(metric).title}: {measure(figure, metric)} [{interval(figure, metric)}]")
        for metric in ("speedup", "throughput", "latency", run.loss)
        if (figure := chosen.measurements.get(metric))
    ]
    return tag("div", None, *told, tag("ul", {"class": "method"}, *items))


def _rows(rows: Sequence[Row]) -> Markup | None:
    if not rows:
        return None
    head = tag("tr", None, *(tag("th", {"scope": "col"}, title) for title in ("", "A", "B")))
    cells = [
        tag("tr", None, tag("th", {"scope": "row"}, row.what), tag("td", None, row.a), tag("td", None, row.b))
        for row in rows
    ]
    return scrolled("Facts of both runs", tag("thead", None, head), tag("tbody", None, *cells), name="rows")


def _trials(found: Comparison) -> Markup | None:
    shown = [
        metric.metric
        for metric in (found.matches[0].contrasts if found.matches else ())
        if any(_measured(match, metric.metric) for match in found.matches)
    ]
    if not shown:
        return None
    first = tag("th", {"scope": "col", "rowspan": 2}, "Trial")
    groups = [tag("th", {"scope": "colgroup", "colspan": 3, "class": "group"}, _named(metric)) for metric in shown]
    sides = [tag("th", {"scope": "col", "class": "number"}, side) for _ in shown for side in ("A", "B", "A to B")]
    rows = [_match(found, match, shown) for match in found.matches]
    return scrolled(
        "Trials of both runs by name",
        tag("thead", None, tag("tr", None, first, *groups), tag("tr", None, *sides)),
        tag("tbody", None, *rows),
        name="isa matches",
    )


def _named(metric: str) -> str:
    unit = term(metric).unit
    return f"{term(metric).title}, {unit}" if unit else term(metric).title


def _measured(match: Match, metric: str) -> bool:
    return any(item.metric == metric and (item.a or item.b) for item in match.contrasts)


def _match(found: Comparison, match: Match, shown: Sequence[str]) -> Markup:
    cells = [cell for item in match.contrasts if item.metric in shown for cell in _cells(item)]
    states = [
        f"{side}: {_state(run, trial)}" for side, run, trial in (("A", found.a, match.a), ("B", found.b, match.b))
    ]
    name = tag(
        "th", {"scope": "row"}, tag("span", {"class": "name"}, match.name), tag("small", None, "; ".join(states))
    )
    return tag("tr", None, name, *cells)


def _state(run: Run, trial: Trial | None) -> str:
    if trial is None:
        return "not tried"
    if trial.name == run.winner:
        return "winner"
    return "accepted" if trial.accepted else f"rejected ({'; '.join(trial.broken)})"


def _cells(item: Contrast) -> tuple[Markup, ...]:
    name, verdict = SAID[item.said]
    words = item.words if item.said != "equal" else ""
    change = tag(
        "td", {"class": f"number {name}"}, verdict or words or "–", tag("small", None, words if verdict else "")
    )
    return figure_cell(item.a, item.metric), figure_cell(item.b, item.metric), change
