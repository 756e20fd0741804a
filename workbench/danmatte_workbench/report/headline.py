"""What a run found, in a sentence and four figures."""

from danmatte_workbench.report import plot
from danmatte_workbench.report.markup import Child, Markup, join, tag
from danmatte_workbench.report.plot import Scale
from danmatte_workbench.report.run import Figure, Run, Trial
from danmatte_workbench.report.words import (
    MINUS,
    amount,
    duration,
    interval,
    measure,
    moment,
    plain,
    settings,
    term,
    tick,
    value,
)

GAUGE = (220, 26)


def masthead(run: Run) -> Markup:
    """The first screen: verdict, the winner or what came nearest, and its figures against the budget."""
    when = f"{moment(run.started)} · {duration(run.seconds)} · effort {run.effort}, objective {run.objective}"
    chosen = run.chosen
    parts: list[Child] = [tag("p", {"class": "kicker"}, f"Workbench run · {when}")]
    if chosen is None:
        return tag("header", None, *parts, tag("h1", None, f"{run.source.name}: nothing could be measured"))
    parts += [tag("h1", None, *_title(run, chosen)), tag("p", {"class": "summary"}, *_summary(run, chosen))]
    parts.append(tag("p", {"class": "verdicts"}, *_verdicts(run, chosen)))
    if not run.winner:
        parts.append(tag("ul", {"class": "broken"}, *(tag("li", None, reason) for reason in chosen.broken)))
    parts.append(tag("div", {"class": "tiles"}, *_tiles(run, chosen)))
    return tag("header", None, *parts)


def _title(run: Run, chosen: Trial) -> list[Child]:
    speedup = chosen.measurements.get("speedup")
    if not run.winner:
        return [run.source.name, ": nothing met the budget"]
    if speedup is None:
        return [run.source.name, " has a winner"]
    return [run.source.name, ", ", tag("em", None, f"{value(speedup, 'speedup')} times"), " as fast"]


def _summary(run: Run, chosen: Trial) -> list[Child]:
    """One or two sentences that can be quoted as they stand."""
    figures = chosen.measurements
    speed, speedup, loss = figures.get("throughput"), figures.get("speedup"), figures.get(run.loss)
    words: list[Child] = [tag("strong", None, chosen.name)]
    words.append(" is the winner" if run.winner else " came nearest")
    if speed:
        words.append(f": {measure(speed, 'throughput')}{_where(run)}")
    if speedup:
        times = f"{value(speedup, 'speedup')} times [{interval(speedup, 'speedup')}]"
        words.append(f", {times} as fast as {run.fastest_baseline}")
        words.append(", the faster of its settings" if _stock(run) else "")
    if loss:
        words.append(f". {_lost(run, loss)}")
    return [*words, "."]


def _where(run: Run) -> str:
    cpu, threads = run.host.get("cpu"), run.host.get("threads") or run.host.get("cores")
    cores = f" on {threads} cores" if isinstance(threads, int) else ""
    return f"{cores} of {plain(cpu)}" if isinstance(cpu, str) and cpu and cores else ""


def _stock(run: Run) -> bool:
    """Whether there are several settings of the framework that is compared with."""
    family = run.fastest_baseline.partition(",")[0]
    return sum(name.partition(",")[0] == family for name in run.baselines) > 1


def _lost(run: Run, loss: Figure) -> str:
    if run.loss == "disagreement":
        return f"Its tensors differ from the source’s by {measure(loss, run.loss)} [{interval(loss, run.loss)}]"
    against = "the true masks" if run.data.labelled else "the source’s own masks"
    word = "It loses" if loss.value >= 0 else "It gains"
    size = measure(loss, run.loss).lstrip(MINUS)
    spread = f"[{'' if loss.value >= 0 else 'lost: '}{interval(loss, run.loss)}]"
    return f"{word} {size} of IoU {spread} on {amount(run.data.frames, 'frame')}, against {against}"


def _verdicts(run: Run, chosen: Trial) -> list[Markup]:
    """Each limit of the budget, and whether the pessimistic end of the interval keeps it."""
    found = []
    for metric in (run.loss, "latency"):
        limit = run.limit(metric)
        if limit is None:
            continue
        figure = chosen.measurements.get(metric)
        kept = figure is not None and figure.high <= limit
        unit = term(metric).unit
        reached = f"at worst {value_of(figure.high, metric)}" if figure else "not measured"
        words = f"{term(metric).title} {reached} of {tick(limit)} {unit} allowed"
        found.append(tag("span", {"class": "verdict kept" if kept else "verdict over"}, "✓ " if kept else "✗ ", words))
    return found


def value_of(amount_: float, metric: str) -> str:
    """A bare number as the metric is written."""
    return value(Figure(amount_, amount_, amount_, "", 1), metric)


def _tiles(run: Run, chosen: Trial) -> list[Markup]:
    tiles = []
    base = run.baselines.get(run.fastest_baseline, {})
    for metric in ("speedup", run.loss, "throughput", "latency", "size_bytes"):
        figure = chosen.measurements.get(metric)
        if figure is None:
            continue
        tiles.append(_tile(run, metric, figure, base.get(metric)))
    return tiles


def _tile(run: Run, metric: str, figure: Figure, base: Figure | None) -> Markup:
    """A figure with its interval, drawn against the budget or the baseline."""
    limit = run.limit(metric)
    against = ""
    if limit is not None:
        against = f"budget {tick(limit)} {term(metric).unit}"
    elif metric == "speedup":
        against = f"over {run.fastest_baseline}"
    elif base is not None:
        against = f"{run.fastest_baseline}: {measure(base, metric)}"
    spread = figure.high > figure.low
    return tag(
        "div",
        {"class": "tile"},
        tag("h3", None, term(metric).title),
        tag("p", {"class": "big"}, *_big(figure, metric)),
        tag("p", {"class": "range"}, f"95 %: {interval(figure, metric)}") if spread else None,
        _gauge(figure, metric, limit, base),
        tag("p", {"class": "against"}, against) if against else None,
    )


def _big(figure: Figure, metric: str) -> tuple[Child, ...]:
    words, shown = measure(figure, metric), value(figure, metric)
    return (shown, tag("small", None, words.removeprefix(shown)))


def _gauge(figure: Figure, metric: str, limit: float | None, base: Figure | None) -> Markup | None:
    """The interval on a line from zero, with the limit or the baseline as a stroke."""
    if metric == "size_bytes":
        return None
    stroke = limit if limit is not None else 1.0 if metric == "speedup" else base.value if base else None
    ends = [0.0, figure.low, figure.high, *([stroke] if stroke is not None else [])]
    if max(ends) <= min(ends):
        return None
    span = max(ends) - min(ends)
    across = Scale(min(ends) - 0.02 * span, max(ends) + 0.06 * span, 0, GAUGE[0])
    parts = [
        plot.line(0, 13, GAUGE[0], 13, name="grid"),
        plot.line(across(0), 9, across(0), 17, name="zero"),
        plot.line(across(figure.low), 13, across(figure.high), 13, name="span"),
        plot.mark(across(figure.value), 13, "dot", name="front"),
    ]
    if stroke is not None:
        parts.insert(
            2, plot.line(across(stroke), 3, across(stroke), 23, name="budget" if limit is not None else "base")
        )
    attributes = {"class": "gauge", "viewBox": f"0 0 {GAUGE[0]} {GAUGE[1]}", "aria-hidden": "true"}
    return tag("svg", attributes, join(parts))


def settled(run: Run) -> Markup | None:
    """How the chosen one runs, and what was done to the graph."""
    chosen = run.chosen
    if chosen is None:
        return None
    notes = tag("ol", {"class": "notes"}, *(tag("li", None, note) for note in chosen.notes)) if chosen.notes else None
    return join((tag("p", None, f"Runs with {settings(chosen.configuration)}."), notes))
