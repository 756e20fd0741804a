"""Two runs side by side, on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from danmatte_workbench.report.compare import Comparison, Contrast, Match
from danmatte_workbench.report.run import Figure, Run
from danmatte_workbench.report.words import plain, value

SIGNS = {"better": "▲", "worse": "▼", "noise": "≈", "equal": "=", "incomparable": "≠"}
SHORT = {"throughput": "fps", "speedup": "×", "latency": "ms", "iou_drop": "lost", "disagreement": "differs"}
WIDE = 108


def show(found: Comparison, console: Console) -> None:
    """Notices first, then what changed, then the trials by name."""
    for side, run in (("A", found.a), ("B", found.b)):
        console.print(Text(f"{side}: {plain(_line(run))}"), soft_wrap=True)
    for notice in found.notices:
        console.print(Text(f"! {plain(notice)}"))
    changed = [row for row in found.rows if row.changed]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("changed", "A", "B"):
        table.add_column(title, overflow="fold")
    for row in changed:
        table.add_row(*(Text(plain(words)) for words in (row.what, row.a, row.b)))
    console.print(table if changed else "nothing changed but the figures")
    console.print(_trials(found, wide=console.width >= WIDE))
    console.print("A → B: ▲ better  ▼ worse  ≈ within the noise  = the same  ≠ not comparable")


def _line(run: Run) -> str:
    chosen = run.chosen
    if chosen is None:
        return f"{run.source.name}, nothing could be measured"
    speedup = chosen.measurements.get("speedup")
    times = f", {value(speedup, 'speedup')}× {run.fastest_baseline}" if speedup else ""
    state = "" if run.winner else "nothing met the budget; nearest: "
    return f"{run.source.name}, {state}{chosen.name}{times}"


def _trials(found: Comparison, *, wide: bool) -> Table:
    """Speedup and loss; on a wide terminal throughput and latency, too."""
    metrics = ("throughput", "speedup", "latency", found.b.loss) if wide else ("speedup", found.b.loss)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("trial", overflow="fold", ratio=1, min_width=16)
    for metric in metrics:
        for title in (f"{SHORT[metric]} A", f"{SHORT[metric]} B", "A → B"):
            table.add_column(title, justify="right", no_wrap=True)
    for match in found.matches:
        cells = [cell for metric in metrics for cell in _cells(match, metric)]
        table.add_row(Text(plain(_name(found, match))), *cells)
    return table


def _name(found: Comparison, match: Match) -> str:
    marks = [side for side, run in (("A", found.a), ("B", found.b)) if run.winner == match.name]
    return f"→ {match.name} ({', '.join(marks)} won)" if marks else match.name


def _cells(match: Match, metric: str) -> tuple[str, str, str]:
    item = next(item for item in match.contrasts if item.metric == metric)
    return _cell(item.a, metric), _cell(item.b, metric), _change(item)


def _cell(figure: Figure | None, metric: str) -> str:
    return "–" if figure is None else value(figure, metric)


def _change(item: Contrast) -> str:
    if item.a is None or item.b is None:
        return "–"
    if item.said in ("equal", "incomparable"):
        return SIGNS[item.said]
    return f"{SIGNS[item.said]} {item.words.partition(' [')[0]}"
