"""The findings as a table on the terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from workbench.budget import IOU_DROP, LATENCY
from workbench.experiment import SPEEDUP, THROUGHPUT, Findings, Trial
from workbench.measurement import Measurement

COLUMNS = (THROUGHPUT, SPEEDUP, LATENCY, IOU_DROP)


def show(findings: Findings, winner: Trial | None, console: Console) -> None:
    """Print baselines and trials; the winner is marked, and each rejection says why."""
    kind = "against the masks" if findings.labelled else "against the source's own masks"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", no_wrap=True)
    for heading in ("frames/s", "speedup", "ms a frame", "IoU lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, measurements in findings.baselines.items():
        table.add_row(name, *_cells(measurements))
    table.add_section()
    for trial in findings.trials:
        mark = "→ " if trial is winner else "  " if trial.verdict.accepted else "✗ "
        table.add_row(mark + trial.name, *_cells(trial.measurements))
    console.print(f"{findings.source.name} on {findings.frames} frames; IoU lost in points, {kind}", highlight=False)
    console.print(table)
    for trial in findings.trials:
        if not trial.verdict.accepted:
            console.print(f"✗ {trial.name}: {'; '.join(trial.verdict.broken)}", highlight=False, soft_wrap=True)
    console.print(f"→ the winner; speedup over {findings.fastest}; medians ± 95 %", highlight=False)


def _cells(measurements: Sequence[Measurement]) -> list[str]:
    found = {item.metric: item for item in measurements}
    return [_cell(found.get(metric)) for metric in COLUMNS]


def _cell(item: Measurement | None) -> str:
    return "–" if item is None else f"{item.value:.3g} ± {(item.high - item.low) / 2:.2g}"
