"""Two runs side by side: what changed, what may be compared, and by how much it differs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from danmatte_workbench.report.run import LOSSES, Figure, Run, Trial
from danmatte_workbench.report.words import anything, duration, fixed, moment, number, settings, tick

# What makes another machine of it, for speeds; the rest of the host's facts is only told.
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
Said = Literal["better", "worse", "equal", "noise", "incomparable"]


@dataclass(frozen=True)
class Row:
    """A fact of both runs, in words."""

    what: str
    a: str
    b: str

    @property
    def changed(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True)
class Contrast:
    """A metric of both; ``words`` tell the change from A to B with an interval that is surely wide enough."""

    metric: str
    a: Figure | None
    b: Figure | None
    said: Said
    words: str


@dataclass(frozen=True)
class Match:
    """Trials of one name; None where a run has none."""

    name: str
    a: Trial | None
    b: Trial | None
    contrasts: tuple[Contrast, ...]


@dataclass(frozen=True)
class Comparison:
    """Everything that is to be said of two runs; ``notices`` say what must not be compared, and why."""

    a: Run
    b: Run
    notices: tuple[str, ...]
    rows: tuple[Row, ...]
    matches: tuple[Match, ...]


def compare(a: Run, b: Run) -> Comparison:
    """A is before, B is after."""
    speeds, losses = _obstacles_to_speeds(a, b), _obstacles_to_losses(a, b)
    notices = []
    if speeds:
        notices.append(f"Speeds are not comparable: {'; '.join(speeds)}.")
    if losses:
        notices.append(f"Accuracy is not comparable: {'; '.join(losses)}.")
    if a.budget != b.budget:
        notices.append("The budgets differ, so accepted means something else in each run.")
    if not speeds:
        notices.append("The runs were not interleaved: trust speedups, made within a run, more than frames a second.")
    allowed = {**dict.fromkeys(SPEEDS, not speeds), **dict.fromkeys((*LOSSES, "mean_iou", "boundary_iou"), not losses)}
    return Comparison(a, b, tuple(notices), tuple(_rows(a, b)), tuple(_matches(a, b, allowed)))


def _obstacles_to_speeds(a: Run, b: Run) -> list[str]:
    found = []
    different = [name for name in MACHINE if a.host.get(name) != b.host.get(name)]
    if different:
        named = ", ".join(name.replace("_", " ") for name in different)
        found.append(f"different hosts ({named})")
    if a.fastest_baseline != b.fastest_baseline:
        found.append(f"speedups over different baselines ({a.fastest_baseline}; {b.fastest_baseline})")
    if a.source.digest != b.source.digest:
        found.append("different source graphs")
    return found


def _obstacles_to_losses(a: Run, b: Run) -> list[str]:
    found = []
    if a.source.digest != b.source.digest:
        found.append("different source graphs")
    if (a.data.origin, a.data.frames, a.data.labelled) != (b.data.origin, b.data.frames, b.data.labelled):
        found.append("different data")
    if a.loss != b.loss:
        found.append("different metrics")
    return found


def _rows(a: Run, b: Run) -> list[Row]:
    facts: dict[str, Callable[[Run], str]] = {
        "Started": lambda run: moment(run.started),
        "Took": lambda run: duration(run.seconds),
        "Source": lambda run: f"{run.source.name} ({run.source.format}, {run.source.digest[:12]})",
        "Input": lambda run: f"{run.source.size[1]}×{run.source.size[0]}" if run.source.size else "any",
        "Data": _data,
        "Calibration": lambda run: f"{run.data.calibration_frames} frames",
        "Budget": _budget,
        "Objective": lambda run: run.objective,
        "Effort": lambda run: run.effort,
        "Fastest baseline": lambda run: run.fastest_baseline,
        "Winner": lambda run: run.winner or f"none; nearest {run.nearest or 'none'}",
        "It runs with": lambda run: settings(run.chosen.configuration) if run.chosen else "–",
    }
    rows = [Row(what, told(a), told(b)) for what, told in facts.items()]
    return [*rows, *_pairs("Host", a.host, b.host), *_pairs("Version", a.versions, b.versions)]


def _pairs(word: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    names = dict.fromkeys((*a, *b))
    return [Row(f"{word}: {name.replace('_', ' ')}", anything(a.get(name)), anything(b.get(name))) for name in names]


def _data(run: Run) -> str:
    kind = "with" if run.data.labelled else "without"
    return f"{run.data.origin or '–'}, {run.data.frames} frames {kind} masks"


def _budget(run: Run) -> str:
    limits = [f"{name.replace('_', ' ')} {tick(limit)}" for name, limit in run.budget.items() if limit is not None]
    return ", ".join(limits) or "none"


def _matches(a: Run, b: Run, allowed: Mapping[str, bool]) -> list[Match]:
    """The trials of both by name, B's winner first, then in A's order, then what only B has."""
    names = list(dict.fromkeys(trial.name for trial in (*a.trials, *b.trials)))
    names.sort(key=lambda name: (name != b.winner, name != a.winner))
    metrics = list(dict.fromkeys(("speedup", a.loss, b.loss, "throughput", "latency", "size_bytes")))
    found = []
    for name in names:
        mine, theirs = a.trial(name), b.trial(name)
        contrasts = tuple(_contrast(metric, mine, theirs, allowed.get(metric, True)) for metric in metrics)
        found.append(Match(name, mine, theirs, contrasts))
    return found


def _contrast(metric: str, a: Trial | None, b: Trial | None, comparable: bool) -> Contrast:
    one = a.measurements.get(metric) if a else None
    other = b.measurements.get(metric) if b else None
    if one is None or other is None:
        return Contrast(metric, one, other, "incomparable", "")
    if not comparable:
        return Contrast(metric, one, other, "incomparable", "not comparable")
    if (one.value, one.low, one.high) == (other.value, other.low, other.high):
        return Contrast(metric, one, other, "equal", "the same")
    said, words = _difference(metric, one, other) if metric in LOSSES else _ratio(metric, one, other)
    return Contrast(metric, one, other, said, words)


def _ratio(metric: str, a: Figure, b: Figure) -> tuple[Said, str]:
    if a.low <= 0 or b.low <= 0:
        return "incomparable", "not comparable"
    low, high = b.low / a.high, b.high / a.low
    upwards = metric in ("throughput", "speedup")
    words = f"×{number(b.value / a.value)} [{number(low)} … {number(high)}]"
    return _side(low > 1, high < 1, better_up=upwards), words


def _difference(metric: str, a: Figure, b: Figure) -> tuple[Said, str]:
    low, high = b.low - a.high, b.high - a.low
    words = f"{_signed(b.value - a.value)} [{_signed(low)} … {_signed(high)}]"
    return _side(low > 0, high < 0, better_up=metric.endswith("_iou")), words


def _side(above: bool, below: bool, *, better_up: bool) -> Said:
    if not above and not below:
        return "noise"
    return "better" if above == better_up else "worse"


def _signed(value: float) -> str:
    text = fixed(value, 2)
    return f"+{text}" if value > 0 and text.strip("0.") else text
