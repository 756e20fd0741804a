"""The table of a run's results on the terminal."""

from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from danmatte.contract.measurement import Measurement
from danmatte_workbench.budget import IOU_DROP, LATENCY
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.trial import SPEEDUP, THROUGHPUT, Trial
from danmatte_workbench.metrics.accuracy import Accuracy
from danmatte_workbench.report.words import sanitize

DISAGREEMENT, SIZE = "disagreement", "size_bytes"
WIDE = 100  # columns of a terminal that suffice for all intervals
HEADINGS = {
    THROUGHPUT: "frames/s",
    SPEEDUP: "speedup",
    LATENCY: "ms a frame",
    IOU_DROP: "IoU lost",
    DISAGREEMENT: "differs",
    SIZE: "MB",
}
NOTABLE = 0.05  # share of CPU time; the operating system itself uses less
ALWAYS_WITH_INTERVAL = (SPEEDUP, IOU_DROP, DISAGREEMENT)


def show(result: ExperimentResult, console: Console) -> None:
    """Print baselines and trials with the winner marked, and the reason of each rejection."""
    wide = console.width >= WIDE
    metrics = list_columns(result)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    table.add_column("", no_wrap=True)
    table.add_column("", overflow="fold")
    for metric in metrics:
        heading = HEADINGS[metric] if wide else HEADINGS[metric].removesuffix(" a frame")
        table.add_column(heading, justify="right", no_wrap=True)
    for name, measurements in result.baselines.items():
        table.add_row("", Text(sanitize(name)), *format_cells(measurements, metrics, wide=wide))
    table.add_section()
    for trial in result.trials:
        if not trial.measurements:
            continue  # the reason is printed below the table
        mark = "→" if trial is result.winner else "" if trial.verdict.accepted else "·" if trial.stopped else "✗"
        table.add_row(mark, Text(sanitize(trial.name)), *format_cells(trial.measurements, metrics, wide=wide))
    truth = "the masks" if result.labelled else "the source's own masks"
    loss = f"IoU lost in points, against {truth}"
    if IOU_DROP not in metrics:
        loss = "difference from the source's tensors in points"
    console.print(Text(f"{sanitize(result.source.name)} on {result.frames} frames; {loss}"))
    console.print(table)
    for line in explain_others(result.trials):
        console.print(Text(sanitize(line)), soft_wrap=True)
    confirmation = result.winner.confirmation if result.winner else None
    if result.winner and confirmation:
        first, worst = confirmation.choosing.measurements[0], Accuracy((), result.winner.kinds).worst
        method = " by cross-validation" if confirmation.crossed else ""
        words = f"→ confirmed on {confirmation.frames} frames{method}; its loss when it was chosen: {first}"
        console.print(Text(words), soft_wrap=True)
        if worst:
            console.print(Text(sanitize(f"→ loses most in {worst.kind}: {worst.loss}")), soft_wrap=True)
    if result.load > NOTABLE:
        console.print(
            Text(f"other processes used {result.load:.0%} of the CPUs' time; intervals of speeds are widened by that")
        )
    arrow = "→ the winner" if result.winner else "no winner"
    console.print(Text(f"{arrow}; speedup over {sanitize(result.fastest)}; medians ± 95 %"))


def explain_others(trials: Sequence[Trial]) -> list[str]:
    """Return lines that say why trials weren't accepted, one for each reason; those without time come last."""
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if not trial.verdict.accepted and trial.stopped != "not tried":
            groups.setdefault((trial.state, "; ".join(trial.verdict.broken)), []).append(trial)
    counts, lines = Counter(trial.recipe.name for trial in trials), []
    for (how, why), same in groups.items():
        mine = Counter(trial.recipe.name for trial in same)
        # If all trials of a recipe have the same reason, only the recipe is named.
        names = (name if mine[name] == counts[name] else trial.name for trial in same for name in (trial.recipe.name,))
        lines.append(f"{'✗' if how == 'rejected' else '·'} {', '.join(dict.fromkeys(names))}: {how}: {why}")
    untried = [trial for trial in trials if trial.stopped == "not tried"]
    tried = {trial.recipe.name for trial in trials if trial.stopped != "not tried"}
    reasons = {
        trial.recipe.name: trial.verdict.broken[0] for trial in reversed(untried) if trial.recipe.name not in tried
    }
    lines += [f"· {name}: not tried: {why}" for name, why in reversed(reasons.items())]
    others = sum(trial.recipe.name in tried for trial in untried)
    return [*lines, f"· not tried: {others} other configurations of recipes that were tried"] if others else lines


def list_columns(result: ExperimentResult) -> list[str]:
    """Return the metrics of the columns; size only if it was measured."""
    everything = (*result.baselines.values(), *(trial.measurements for trial in result.trials))
    present = {item.metric for measurements in everything for item in measurements}
    loss = DISAGREEMENT if DISAGREEMENT in present else IOU_DROP
    return [THROUGHPUT, SPEEDUP, LATENCY, loss, *([SIZE] if SIZE in present else [])]


def format_cells(measurements: Sequence[Measurement], metrics: Sequence[str], *, wide: bool) -> list[str]:
    """Return a cell for each metric: the value ± half its interval; narrow tables omit the less important intervals."""
    found = {item.metric: item for item in measurements}
    cells = []
    for metric in metrics:
        item = found.get(metric)
        if item is None:
            cells.append("–")
        elif metric == SIZE:
            cells.append(f"{item.value / 1e6:.1f}")
        else:
            spread = f" ± {(item.high - item.low) / 2:.2g}" if wide or metric in ALWAYS_WITH_INTERVAL else ""
            cells.append((f"{item.value:.3g}" if abs(item.value) < 1000 else f"{item.value:.0f}") + spread)
    return cells
