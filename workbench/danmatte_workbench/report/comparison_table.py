"""The comparison of two runs on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from danmatte_workbench.report.comparison import Contrast, RunComparison, TrialPair
from danmatte_workbench.report.records import RunRecord
from danmatte_workbench.report.words import format_figure, sanitize

SIGNS = {"better": "▲", "worse": "▼", "noise": "≈", "equal": "=", "incomparable": "≠"}
SHORT = {"throughput": "fps", "speedup": "×", "latency": "ms", "iou_drop": "lost", "disagreement": "differs"}
WIDE = 108


def print_comparison(comparison: RunComparison, console: Console) -> None:
    """Print the winners, notices, changed facts, and a table of trials."""
    for side, run in (("A", comparison.a), ("B", comparison.b)):
        console.print(Text(f"{side}: {sanitize(describe_run(run))}"), soft_wrap=True)
    for notice in comparison.notices:
        console.print(Text(f"! {sanitize(notice)}"))
    changed = [row for row in comparison.rows if row.changed]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("changed", "A", "B"):
        table.add_column(title, overflow="fold")
    for row in changed:
        table.add_row(*(Text(sanitize(words)) for words in (row.what, row.a, row.b)))
    console.print(table if changed else "only the figures changed")
    console.print(make_trial_table(comparison, wide=console.width >= WIDE))
    bare = sum(all(item.a is None and item.b is None for item in pair.contrasts) for pair in comparison.pairs)
    if bare:
        console.print(f"and {bare} trials that neither run measured")
    console.print("A → B: ▲ better  ▼ worse  ≈ within the noise  = the same  ≠ not comparable")


def describe_run(run: RunRecord) -> str:
    """Return the run's winner in one line."""
    chosen = run.chosen
    if chosen is None:
        return f"{run.source.name}, nothing could be measured"
    speedup = chosen.measurements.get("speedup")
    times = f", {format_figure(speedup, 'speedup')}× {run.fastest_baseline}" if speedup else ""
    state = "" if run.winner else "nothing met the budget; nearest: "
    return f"{run.source.name}, {state}{chosen.name}{times}"


def make_trial_table(comparison: RunComparison, *, wide: bool) -> Table:
    """Return a table of trials with speedup and loss, and on a wide terminal also throughput and latency."""
    loss = comparison.b.loss
    metrics = ("throughput", "speedup", "latency", loss) if wide else ("speedup", loss)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", overflow="fold", ratio=1, min_width=16)
    for metric in metrics:
        for title in (f"{SHORT[metric]} A", f"{SHORT[metric]} B", "A → B"):
            table.add_column(title, justify="right", no_wrap=True)
    for pair in comparison.pairs:
        if all(item.a is None and item.b is None for item in pair.contrasts):
            continue  # neither run measured it
        cells = []
        for metric in metrics:
            item = next(item for item in pair.contrasts if item.metric == metric)
            figures = ("–" if figure is None else format_figure(figure, metric) for figure in (item.a, item.b))
            cells += [*figures, format_verdict(item)]
        table.add_row(Text(sanitize(name_pair(comparison, pair))), *cells)
    return table


def name_pair(comparison: RunComparison, pair: TrialPair) -> str:
    """Return the trials' name, marked with the runs that it won."""
    sides = (("A", comparison.a), ("B", comparison.b))
    marks = [side for side, run in sides if run.winner == pair.name]
    return f"→ {pair.name} ({', '.join(marks)} won)" if marks else pair.name


def format_verdict(item: Contrast) -> str:
    """Return the verdict's sign, followed by the change without its interval if there is one."""
    if item.a is None or item.b is None:
        return "–"
    if item.verdict in ("equal", "incomparable"):
        return SIGNS[item.verdict]
    return f"{SIGNS[item.verdict]} {item.words.partition(' [')[0]}"
