"""Comparison of two runs: what changed, what is comparable, and the differences."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from danmatte_workbench.report.page import render_page
from danmatte_workbench.report.records import LOSSES, Figure, RunRecord, TrialRecord
from danmatte_workbench.report.words import (
    format_duration,
    format_fact,
    format_fixed,
    format_number,
    format_settings,
    format_tick,
    format_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Facts of a host that affect speeds. Runs that differ in one of them aren't comparable in speed.
MACHINE = (
    "cpu",
    "machine",
    "cores",
    "threads",
    "features",
    "instruction_sets",
    "physical_cores",
    "logical_cpus",
    "allowed_cpus",
    "quota_cores",
    "numa_nodes",
)
SPEEDS = ("speedup", "throughput", "latency")
ChangeVerdict = Literal["better", "worse", "equal", "noise", "incomparable"]


# How a verdict is shown on the page: CSS class and words.
VERDICTS = {
    "better": ("faster", "better"),
    "worse": ("slower", "worse"),
    "noise": ("none", "within the noise"),
    "equal": ("none", "the same"),
    "incomparable": ("none", ""),
}


@dataclass(frozen=True)
class FactRow:
    """A fact of both runs in words."""

    what: str
    a: str
    b: str

    @property
    def changed(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True)
class Contrast:
    """A metric of both runs; ``words`` is the change from A to B with a conservative interval."""

    metric: str
    a: Figure | None
    b: Figure | None
    verdict: ChangeVerdict
    words: str


@dataclass(frozen=True)
class TrialPair:
    """The trials of one name; None if a run has none."""

    name: str
    a: TrialRecord | None
    b: TrialRecord | None
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class RunComparison:
    """Two compared runs; ``notices`` say what isn't comparable, and why."""

    a: RunRecord
    b: RunRecord
    notices: tuple[str, ...]
    rows: tuple[FactRow, ...]
    pairs: tuple[TrialPair, ...]


def compare_runs(a: RunRecord, b: RunRecord) -> RunComparison:
    """Compare two runs, a before b."""
    speeds, losses = find_obstacles(a, b)
    notices = []
    if speeds:
        notices.append(f"Speeds are not comparable: {'; '.join(speeds)}.")
    if losses:
        notices.append(f"Accuracy is not comparable: {'; '.join(losses)}.")
    if a.budget != b.budget:
        notices.append("The budgets differ, so trials were not accepted by the same limits.")
    if not speeds:
        notices.append("The runs were not interleaved, so speedups are more reliable than frames a second.")
    comparable = {**dict.fromkeys(SPEEDS, not speeds)}
    comparable |= dict.fromkeys((*LOSSES, "mean_iou", "boundary_iou"), not losses)
    # Order: B's winner, A's winner, the other trials of A, then those that only B has.
    names = list(dict.fromkeys(trial.name for trial in (*a.trials, *b.trials)))
    names.sort(key=lambda name: (name != b.winner, name != a.winner))
    metrics = list(dict.fromkeys(("speedup", a.loss, b.loss, "throughput", "latency", "size_bytes")))
    pairs = []
    for name in names:
        one, other = a.trial(name), b.trial(name)
        contrasts = tuple(contrast(metric, one, other, comparable.get(metric, True)) for metric in metrics)
        pairs.append(TrialPair(name, one, other, contrasts))
    return RunComparison(a, b, tuple(notices), tuple(list_facts(a, b)), tuple(pairs))


def find_obstacles(a: RunRecord, b: RunRecord) -> tuple[list[str], list[str]]:
    """Return the reasons why speeds, and why losses, aren't comparable; empty lists if they are."""
    speeds, losses = [], []
    different = [name for name in MACHINE if a.host.get(name) != b.host.get(name)]
    if different:
        speeds.append(f"different hosts ({', '.join(name.replace('_', ' ') for name in different)})")
    if a.fastest_baseline != b.fastest_baseline:
        speeds.append(f"speedups over different baselines ({a.fastest_baseline}; {b.fastest_baseline})")
    if a.source.digest != b.source.digest:
        speeds.append("different source graphs")
        losses.append("different source graphs")
    if _identify_data(a) != _identify_data(b):
        losses.append("different data")
    if a.loss != b.loss:
        losses.append("different metrics")
    return speeds, losses


def _identify_data(run: RunRecord) -> tuple[str | None, int, int, bool]:
    """Return what has to be equal for losses to be comparable: the frames, and how many of them choose."""
    return run.data.origin, run.data.frames, run.data.choosing_frames, run.data.labelled


def list_facts(a: RunRecord, b: RunRecord) -> list[FactRow]:
    """Return all facts of both runs in words."""
    facts: dict[str, Callable[[RunRecord], str]] = {
        "Started": lambda run: format_time(run.started),
        "Took": lambda run: format_duration(run.seconds),
        "Source": lambda run: f"{run.source.name} ({run.source.format}, {run.source.digest[:12]})",
        "Input": lambda run: f"{run.source.size[1]}×{run.source.size[0]}" if run.source.size else "any",
        "Data": lambda run: (
            f"{run.data.origin or '–'}, {run.data.frames} frames {'with' if run.data.labelled else 'without'} masks"
        ),
        "Calibration": lambda run: f"{run.data.calibration_frames} frames",
        "Budget": format_budget,
        "Objective": lambda run: run.objective,
        "Effort": lambda run: run.effort,
        "Fastest baseline": lambda run: run.fastest_baseline,
        "Winner": lambda run: run.winner or f"none; nearest {run.nearest or 'none'}",
        "Its configuration": lambda run: format_settings(run.chosen.configuration) if run.chosen else "–",
    }
    rows = [FactRow(what, write(a), write(b)) for what, write in facts.items()]
    both: tuple[tuple[str, Mapping[str, Any], Mapping[str, Any]], ...] = (
        ("Host", a.host, b.host),
        ("Version", a.versions, b.versions),
    )
    for word, one, other in both:
        for name in dict.fromkeys((*one, *other)):
            title = f"{word}: {name.replace('_', ' ')}"
            rows.append(FactRow(title, format_fact(one.get(name)), format_fact(other.get(name))))
    return rows


def format_budget(run: RunRecord) -> str:
    """Return the budget's limits in words."""
    limits = [
        f"{name.replace('_', ' ')} {format_tick(limit)}" for name, limit in run.budget.items() if limit is not None
    ]
    return ", ".join(limits) or "none"


def contrast(metric: str, a: TrialRecord | None, b: TrialRecord | None, comparable: bool) -> Contrast:
    """Compare one metric of two trials: a ratio for speeds and sizes, a difference for losses.

    The interval is computed from the ends of both intervals, so it is conservative. If the trial was confirmed in one
    run only, the losses on the choosing frames are compared.
    """
    one = a.measurements.get(metric) if a else None
    other = b.measurements.get(metric) if b else None
    chosen = metric in LOSSES and a is not None and b is not None and bool(a.confirmation) != bool(b.confirmation)
    if chosen:
        one, other = (get_chosen(trial, metric) for trial in (a, b))
    if one is None or other is None:
        return Contrast(metric, one, other, "incomparable", "")
    if not comparable:
        return Contrast(metric, one, other, "incomparable", "not comparable")
    if (one.value, one.low, one.high) == (other.value, other.low, other.high):
        return Contrast(metric, one, other, "equal", "the same")
    if metric in LOSSES:
        low, high = other.low - one.high, other.high - one.low
        words = f"{format_change(other.value - one.value)} [{format_change(low)} … {format_change(high)}]"
        words += ", on the choosing frames" if chosen else ""
        return Contrast(metric, one, other, judge_change(low > 0, high < 0, better_up=False), words)
    if one.low <= 0 or other.low <= 0:
        return Contrast(metric, one, other, "incomparable", "not comparable")
    low, high = other.low / one.high, other.high / one.low
    words = f"×{format_number(other.value / one.value)} [{format_number(low)} … {format_number(high)}]"
    better_up = metric in ("throughput", "speedup")
    return Contrast(metric, one, other, judge_change(low > 1, high < 1, better_up=better_up), words)


def get_chosen(trial: TrialRecord | None, metric: str) -> Figure | None:
    """Return the trial's figure on the choosing frames; None if there is none."""
    if trial is None:
        return None
    return (trial.confirmation.choosing if trial.confirmation else trial.measurements).get(metric)


def judge_change(above: bool, below: bool, *, better_up: bool) -> ChangeVerdict:
    """Return better or worse if the whole interval is on one side of no change, otherwise noise."""
    if not above and not below:
        return "noise"
    return "better" if above == better_up else "worse"


def format_change(value: float) -> str:
    """Format a change with two decimal places and a sign, plus included."""
    text = format_fixed(value, 2)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def render_comparison(comparison: RunComparison) -> str:
    """Render the comparison as an HTML page."""
    metrics = [
        item.metric
        for position, item in enumerate(comparison.pairs[0].contrasts if comparison.pairs else ())
        if any(pair.contrasts[position].a or pair.contrasts[position].b for pair in comparison.pairs)
    ]
    states = {pair.name: describe_states(comparison, pair) for pair in comparison.pairs}
    return render_page("comparison.html", found=comparison, metrics=metrics, verdicts=VERDICTS, states=states)


def describe_states(comparison: RunComparison, pair: TrialPair) -> str:
    """Return the outcome of a trial in each run."""
    words = []
    for side, run, trial in (("A", comparison.a, pair.a), ("B", comparison.b, pair.b)):
        state = "not tried"
        if trial is not None and trial.name == run.winner:
            state = "winner"
        elif trial is not None:
            state = "accepted" if trial.accepted else f"{trial.word} ({'; '.join(trial.broken)})"
        words.append(f"{side}: {state}")
    return "; ".join(words)
