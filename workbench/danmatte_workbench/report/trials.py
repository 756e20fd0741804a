"""The table of all trials: every figure with its interval, every rejection with its reason."""

from danmatte_workbench.report.markup import Child, Markup, join, tag
from danmatte_workbench.report.run import Figures, Run, Trial
from danmatte_workbench.report.scatter import front
from danmatte_workbench.report.tables import figure_cell, scrolled
from danmatte_workbench.report.words import amount, duration, settings, term

FIRST = ("throughput", "speedup", "latency")
LAST = ("mean_iou", "boundary_iou", "top1_agreement", "size_bytes")


def section(run: Run) -> Markup | None:
    """Baselines first, then the trials: the winner, the accepted by throughput, the rejected."""
    if not run.trials:
        return None
    metrics = _metrics(run)
    head = tag(
        "tr",
        None,
        tag("th", {"scope": "col", "class": "number"}, "№"),
        tag("th", {"scope": "col"}, "Trial"),
        *(_heading(metric) for metric in metrics),
        tag("th", {"scope": "col", "class": "number"}, "Spent") if _timed(run) else None,
    )
    baselines = [_baseline(name, figures, metrics, timed=_timed(run)) for name, figures in run.baselines.items()]
    ahead = {trial.name for trial in front(run.trials, run.loss)}
    rows = [_row(run, number_, trial, metrics, ahead) for number_, trial in _ordered(run)]
    table = scrolled(
        "All trials",
        tag("thead", None, head),
        tag("tbody", {"class": "baselines", "data-fixed": True}, *baselines),
        tag("tbody", None, *rows),
        sortable=True,
        name="trials",
    )
    return join((_counted(run), table))


def _counted(run: Run) -> Markup:
    accepted = sum(trial.accepted for trial in run.trials)
    few = sum(bool(trial.measurements) and not trial.finalist for trial in run.trials)
    words = f"{len(run.trials)} trials, {accepted} within the budget."
    if few:
        words += f" {amount(few, 'trial')} raced for a few rounds only, enough to see that others are faster."
    return tag("p", {"class": "faint"}, words)


def _timed(run: Run) -> bool:
    return any(trial.seconds for trial in run.trials)


def _metrics(run: Run) -> list[str]:
    """Those that anything was measured by, the budget's among the first."""
    everything = (*run.baselines.values(), *(trial.measurements for trial in run.trials))
    present = list(dict.fromkeys(metric for figures in everything for metric in figures))
    known = [*FIRST, run.loss, *LAST]
    return [*(metric for metric in known if metric in present), *(metric for metric in present if metric not in known)]


def _heading(metric: str) -> Markup:
    named = term(metric)
    unit = tag("small", None, named.unit) if named.unit else None
    return tag("th", {"scope": "col", "class": "number", "title": named.about}, named.title, unit)


def _ordered(run: Run) -> list[tuple[int, Trial]]:
    numbered = list(enumerate(run.trials, 1))
    return sorted(numbered, key=lambda item: (item[1].name != run.winner, not item[1].accepted, -_speed(item[1])))


def _speed(trial: Trial) -> float:
    figure = trial.measurements.get("throughput")
    return figure.value if figure else 0.0


def _baseline(name: str, figures: Figures, metrics: list[str], *, timed: bool) -> Markup:
    cells = [figure_cell(figures.get(metric), metric) for metric in metrics]
    return tag(
        "tr",
        None,
        tag("td", None, ""),
        tag("th", {"scope": "row"}, name, tag("small", None, "baseline")),
        *cells,
        tag("td", None, "") if timed else None,
    )


def _row(run: Run, place: int, trial: Trial, metrics: list[str], ahead: set[str]) -> Markup:
    cells = [figure_cell(trial.measurements.get(metric), metric) for metric in metrics]
    kind = "winner" if trial.name == run.winner else "" if trial.accepted else "rejected"
    spent = tag("td", {"class": "number", "data-value": trial.seconds}, duration(trial.seconds or 0))
    return tag(
        "tr",
        {"class": kind or None},
        tag("td", {"class": "number", "data-value": place}, str(place)),
        tag("th", {"scope": "row"}, *_name(run, trial, ahead)),
        *cells,
        spent if _timed(run) else None,
    )


def _name(run: Run, trial: Trial, ahead: set[str]) -> list[Child]:
    """The name, what is to be said of it, and how it was made behind a fold."""
    parts: list[Child] = [tag("span", {"class": "name"}, trial.name), *_badges(run, trial, ahead)]
    parts += [tag("p", {"class": "reason"}, reason) for reason in trial.broken]
    told = [settings(trial.configuration), *trial.notes]
    items = [tag("li", None, note) for note in told if note]
    if items:
        parts.append(tag("details", None, tag("summary", None, "how"), tag("ul", None, *items)))
    return parts


def _badges(run: Run, trial: Trial, ahead: set[str]) -> list[Markup]:
    badges = []
    if trial.name == run.winner:
        badges.append(tag("span", {"class": "badge kept"}, "winner"))
    elif not trial.accepted:
        nearest = trial.name == run.nearest and not run.winner
        badges.append(tag("span", {"class": "badge over"}, "nearest, rejected" if nearest else "rejected"))
    if trial.name in ahead and trial.name != run.winner:
        badges.append(tag("span", {"class": "badge"}, "on the front"))
    return badges
