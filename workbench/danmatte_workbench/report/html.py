"""A run as one HTML file that needs no network."""

from pathlib import Path

from danmatte_workbench.errors import InputError
from danmatte_workbench.report import (
    circumstances,
    curves,
    gallery,
    headline,
    layers,
    older,
    page,
    run,
    scatter,
    trials,
)
from danmatte_workbench.report.markup import Markup, join, tag
from danmatte_workbench.report.pictures import Comparison, comparisons
from danmatte_workbench.report.run import Run
from danmatte_workbench.report.words import plain, term

REPORT = "report.html"


def write(folder: Path) -> Path:
    """Write ``report.html`` beside the run's ``run.json``, from that and the masks folder alone; return its path.

    Raises InputError where either is missing or broken, MachineError where the page can't be written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a run's folder, with {run.FILE} in it")
    found = run.read(folder)
    text = (folder / run.FILE).read_bytes()
    return page.write(render(found, comparisons(folder, found), text), folder / REPORT)


def render(found: Run, masks: tuple[Comparison, ...], text: bytes) -> str:
    """The page's text. ``text`` is the run as JSON, which the page carries along."""
    parts = (
        ("trade", "Accuracy against throughput", _trade(found), ""),
        ("made", "What was done to the graph", headline.settled(found), ""),
        ("masks", "Masks on your own frames", gallery.section(masks), ""),
        ("trials", "All trials", trials.section(found), ""),
        ("layers", "Where the time goes", layers.section(found), ""),
        ("curves", "Batches and cores", curves.section(found), ""),
        ("isa", "On older CPUs", older.section(found), ""),
        ("method", "How it was measured", circumstances.method(found), ""),
        ("machine", "Machine, versions and data", circumstances.machine(found), ""),
        ("again", "Measure it again", circumstances.reproduction(found, text), ""),
    )
    shown = [(identity, title, content, lead) for identity, title, content, lead in parts if content]
    body = (
        headline.masthead(found),
        page.contents([(identity, title) for identity, title, _, _ in shown]),
        tag(
            "main",
            None,
            *(page.section(identity, title, content, lead=lead) for identity, title, content, lead in shown),
        ),
        tag("footer", None, "Written by danmatte’s workbench. One file, no network, no tracking."),
    )
    return page.document(f"{plain(found.source.name)} · workbench run", *body)


def _trade(found: Run) -> Markup | None:
    """The plot with its key."""
    plots = scatter.figure(found)
    if not plots:
        return None
    marks = (
        ("winner", "winner"),
        ("front", "on the Pareto front"),
        ("kept", "within the budget"),
        ("broken", "rejected"),
        ("baseline", "baseline"),
    )
    shown = scatter.roles(found)
    key = tag(
        "ul",
        {"class": "legend"},
        *(tag("li", None, scatter.swatch(role), words) for role, words in marks if role in shown),
    )
    said = (
        "Up and right is better. Whiskers are 95 % intervals; a trial keeps the budget if its whole whisker stays "
        "above the line. The line through the front is what can be had. Baselines whose "
        f"{term(found.loss).title} was not measured stand at zero: they run the source as it is."
    )
    return tag("figure", None, join((plots, key)), tag("figcaption", {"class": "faint"}, said))
