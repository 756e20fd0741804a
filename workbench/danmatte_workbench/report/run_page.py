"""A run as a self-contained HTML file: computes the content of the template's sections."""

import base64
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from danmatte_workbench.budget import INTERVAL_FACTOR
from danmatte_workbench.errors import InputError
from danmatte_workbench.report import curves, records, scatter, svg
from danmatte_workbench.report.confirmed import list_confirmed
from danmatte_workbench.report.masks import MaskComparison, compare_masks
from danmatte_workbench.report.page import render_page, write_page
from danmatte_workbench.report.records import Figure, IsaRecord, LayerRecord, RunRecord, TrialRecord
from danmatte_workbench.report.svg import Scale, make_element
from danmatte_workbench.report.words import (
    MINUS,
    format_count,
    format_fact,
    format_figure,
    format_interval,
    format_measure,
    format_number,
    format_tick,
    format_value,
    get_term,
    sanitize,
)

REPORT = "report.html"
STOPPED = ("rejected", "not tried", "doesn't apply", "failed")
GAUGE_PX = (220, 26)
KINDS = 6  # maximum number of groups in a bar; the rest is one of them
SLOWEST = 10
COSTLY = 25  # number of frames in the table of losses
OTHERS = "all others"
FIRST_METRICS = ("throughput", "speedup", "latency", "latency_p95", "latency_p99")
LAST_METRICS = ("mean_iou", "boundary_iou", "top1", "size_bytes")
ROLES = (
    ("winner", "winner"),
    ("front", "on the Pareto front"),
    ("kept", "within the budget"),
    ("broken", "rejected"),
    ("open", "without a verdict"),
    ("baseline", "baseline"),
)
HOST = {
    "cpu": "CPU",
    "cores": "Usable cores",
    "threads": "Threads used",
    "threads_from": "Set by",
    "physical_cores": "Physical cores",
    "logical_cpus": "Logical CPUs",
    "allowed_cpus": "In the affinity mask",
    "quota_cores": "Cgroup quota, cores",
    "sockets": "Sockets",
    "numa_nodes": "NUMA nodes",
    "memory_bytes": "Memory",
    "features": "Instruction sets",
    "instruction_sets": "Instruction sets",
    "machine": "Architecture",
    "os": "System",
    "python": "Python",
}


@dataclass(frozen=True)
class LimitCheck:
    """A limit of the budget: whether the winner keeps it, and the figures in words."""

    kept: bool
    words: str


@dataclass(frozen=True)
class Tile:
    """A figure at the top of the page, with a gauge that shows it against the budget or the baseline."""

    metric: str
    figure: Figure
    gauge: Markup | None
    against: str


@dataclass(frozen=True)
class LayerGroup:
    """Total time of the layers of one kind; ``start`` and ``width`` are its position in a bar of 1000 units."""

    name: str
    rank: int
    ms: float
    count: int
    start: float
    width: float


@dataclass(frozen=True)
class LayerBar:
    """The groups of one side (before or after), in the same order on both sides."""

    side: str
    total_ms: float
    groups: tuple[LayerGroup, ...]


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from ``run.json`` and ``masks/`` in the run's folder; return its path.

    Raises InputError if these are missing or broken, MachineError if the page can't be written.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a run's folder, with {records.FILE} in it")
    run = records.read_run(folder)
    text = (folder / records.FILE).read_bytes()
    return write_page(render_run(run, compare_masks(folder, run), text), folder / REPORT)


def render_run(run: RunRecord, masks: Sequence[MaskComparison], text: bytes) -> str:
    """Return the page's HTML. text: run.json, which is embedded in the page for download."""
    roles = {item.role for item in scatter.find_plotted(run)}
    numbered = sorted(
        enumerate(run.trials, 1),
        key=lambda item: (item[1].name != run.winner, not item[1].accepted, -get_speed(item[1])),
    )
    words = [trial.word for trial in run.trials]
    parts = {
        "masks": run.masks,
        "layers": run.layers.before or run.layers.after,
        "the sweep": run.sweep,
        "older instruction sets": run.isa,
    }
    return render_page(
        "run.html",
        run=run,
        summary=summarise(run, run.chosen) if run.chosen else "",
        checks=check_limits(run, run.chosen) if run.chosen else [],
        tiles=make_tiles(run, run.chosen) if run.chosen else [],
        scatter=scatter.draw_scatter(run),
        roles=[(scatter.draw_swatch(role), words) for role, words in ROLES if role in roles],
        masks=masks,
        metrics=list_metrics(run),
        confirmed=list_confirmed(run),
        ordered=numbered,
        stopped=[(word, words.count(word)) for word in STOPPED if word in words],
        front={trial.name for trial in scatter.find_front(run.trials, run.loss)},
        panels=curves.draw_panels(run),
        swept=curves.list_swept(run),
        truth=name_truth(run),
        costly=sorted(run.scores, key=lambda score: -max(map(abs, score.lost.values()), default=0.0))[:COSTLY],
        compared=list(dict.fromkeys(name for score in run.scores for name in score.lost)),
        missing=[name for name, content in parts.items() if not content],
        host=describe_host(run.host),
        origin=describe_origin(run),
        command=shlex.join(run.command),
        run_json=f"data:application/json;base64,{base64.b64encode(text).decode()}",
        run_json_bytes=len(text),
        **describe_layers(run),
        **describe_instruction_sets(run),
    )


def summarise(run: RunRecord, chosen: TrialRecord) -> str:
    """Return the summary that follows the winner's name, one or two sentences."""
    figures = chosen.measurements
    speed, speedup, loss = figures.get("throughput"), figures.get("speedup"), figures.get(run.loss)
    words = " is the winner" if run.winner else " came nearest"
    if speed:
        cpu, threads = run.host.get("cpu"), run.host.get("threads") or run.host.get("cores")
        known = isinstance(cpu, str) and cpu and isinstance(threads, int)
        words += f": {format_measure(speed, 'throughput')}" + (f" on {threads} cores of {cpu}" if known else "")
    if speedup:
        times = f"{format_figure(speedup, 'speedup')} times [{format_interval(speedup, 'speedup')}]"
        words += f", {times} as fast as {run.fastest_baseline}"
        framework = run.fastest_baseline.partition(",")[0]
        settings = sum(name.partition(",")[0] == framework for name in run.baselines)
        words += ", the faster of its settings" if settings > 1 else ""
    if loss and run.loss == "disagreement":
        measure = f"{format_measure(loss, run.loss)} [{format_interval(loss, run.loss)}]"
        words += f". Its tensors differ from the source’s by {measure} {describe_frames(run, chosen)}"
    elif loss:
        verb, prefix = ("loses", "") if loss.value >= 0 else ("gains", "lost: ")
        size = format_measure(loss, run.loss).lstrip(MINUS)
        interval = f"[{prefix}{format_interval(loss, run.loss)}] {describe_frames(run, chosen)}"
        told = f"It {verb} {size} of IoU" if run.data.labelled else f"Its masks differ from the source’s own by {size}"
        words += f". {told} {interval}" + (f", against {name_truth(run)}" if run.data.labelled else "")
    if loss and (worst := chosen.worst_kind):
        words += f"; most in {sanitize(worst[0])}: {format_measure(worst[1], run.loss)}"
        words += f" [{format_interval(worst[1], run.loss)}]"
    return words


def describe_frames(run: RunRecord, trial: TrialRecord) -> str:
    """Return on which frames the trial's loss was measured, and its loss when it was chosen, if that is another one."""
    confirmation, words = trial.confirmation, f"on {format_count(count_frames(run, trial), 'frame')}"
    if confirmation and (figure := confirmation.choosing.get(run.loss)):
        method = "by cross-validation" if confirmation.crossed else "that were not used to choose it"
        words += f" {method} ({format_measure(figure, run.loss)} when it was chosen)"
    return words


def count_frames(run: RunRecord, trial: TrialRecord) -> int:
    """Return the number of frames of the trial's loss: the confirming ones, or the choosing ones if not confirmed."""
    return trial.confirmation.frames if trial.confirmation else run.data.choosing_frames or run.data.frames


def name_truth(run: RunRecord) -> str:
    """Return in words what masks were compared with."""
    return "the true masks" if run.data.labelled else "the source’s own masks"


def check_limits(run: RunRecord, chosen: TrialRecord) -> list[LimitCheck]:
    """Check the winner against each limit of the budget; a missing measurement breaks it.

    A confirmed loss has to be within the limit, and its interval within twice the limit. Of other figures, the
    interval's upper end has to be within the limit.
    """
    checks = []
    for metric in (run.loss, "latency"):
        limit = run.limit(metric)
        if limit is None:
            continue
        figure, term = chosen.measurements.get(metric), get_term(metric)
        allowed = f"of {format_tick(limit)} {term.unit} allowed"
        if figure is None:
            checks.append(LimitCheck(False, f"{term.title} not measured {allowed}"))
        elif metric == run.loss and chosen.confirmation:
            ends = f"at worst {format_value(figure.high, metric)} of {format_tick(INTERVAL_FACTOR * limit)}"
            kept = figure.value <= limit and figure.high <= INTERVAL_FACTOR * limit
            checks.append(LimitCheck(kept, f"{term.title} {format_value(figure.value, metric)} {allowed}, {ends}"))
        else:
            worst = f"{term.title} at worst {format_value(figure.high, metric)} {allowed}"
            checks.append(LimitCheck(figure.high <= limit, worst))
    return checks


def make_tiles(run: RunRecord, chosen: TrialRecord) -> list[Tile]:
    """Return the winner's figures, each with its limit or baseline."""
    tiles = []
    baseline = run.baselines.get(run.fastest_baseline, {})
    for metric in ("speedup", run.loss, "throughput", "latency", "size_bytes"):
        figure, base, limit = chosen.measurements.get(metric), baseline.get(metric), run.limit(metric)
        if figure is None:
            continue
        against = ""
        if limit is not None:
            against = f"budget {format_tick(limit)} {get_term(metric).unit}"
        elif metric == "speedup":
            against = f"over {run.fastest_baseline}"
        elif base is not None:
            against = f"{run.fastest_baseline}: {format_measure(base, metric)}"
        stroke = limit if limit is not None else 1.0 if metric == "speedup" else base.value if base else None
        name = "budget" if limit is not None else "base"
        gauge = None if metric == "size_bytes" else draw_gauge(figure, stroke, name)
        tiles.append(Tile(metric, figure, gauge, against))
    return tiles


def draw_gauge(figure: Figure, stroke: float | None, name: str) -> Markup | None:
    """Draw the interval on a line from zero, with the limit or the baseline as a stroke; None without an extent."""
    ends = [0.0, figure.low, figure.high, *([stroke] if stroke is not None else [])]
    span = max(ends) - min(ends)
    if span <= 0:
        return None
    width, height = GAUGE_PX
    across = Scale(min(ends) - 0.02 * span, max(ends) + 0.06 * span, 0, width)
    parts = [
        svg.draw_line(0, 13, width, 13, name="grid"),
        svg.draw_line(across(0), 9, across(0), 17, name="zero"),
        svg.draw_line(across(stroke), 3, across(stroke), 23, name=name) if stroke is not None else None,
        svg.draw_line(across(figure.low), 13, across(figure.high), 13, name="span"),
        svg.draw_mark(across(figure.value), 13, "dot", name="front"),
    ]
    attributes = {"class": "gauge", "viewBox": f"0 0 {width} {height}", "aria-hidden": "true"}
    return make_element("svg", attributes, *parts)


def list_metrics(run: RunRecord) -> list[str]:
    """Return all measured metrics, the most important first."""
    everything = (*run.baselines.values(), *(trial.measurements for trial in run.trials))
    present = list(dict.fromkeys(metric for figures in everything for metric in figures))
    known = [*FIRST_METRICS, run.loss, *LAST_METRICS]
    return [*(metric for metric in known if metric in present), *(metric for metric in present if metric not in known)]


def get_speed(trial: TrialRecord) -> float:
    """Return frames a second, 0 if it wasn't measured."""
    figure = trial.measurements.get("throughput")
    return figure.value if figure else 0.0


def describe_layers(run: RunRecord) -> dict[str, Any]:
    """Return the content on layers: totals, the slowest layers, all layers, and bars by kind and by precision."""
    both = (("before", run.layers.before), ("after", run.layers.after))
    present = [(side, layers) for side, layers in both if layers]
    sides = []
    for side, layers in present:
        slowest = sorted(layers, key=lambda layer: -layer.ms)[:SLOWEST]
        named = [(layer, break_name(layer.source or layer.name)) for layer in slowest]
        sides.append((side, sum_ms(layers), len(layers), slowest, named))
    groupings = [
        ("By kind of layer", group_layers(present, lambda layer: layer.kind)),
        ("By precision", group_layers(present, lambda layer: layer.precision or "?")),
    ]
    whole = [(side, [(layer, break_name(layer.source or layer.name)) for layer in layers]) for side, layers in present]
    return {"sides": sides, "groupings": groupings, "whole": whole}


def sum_ms(layers: Iterable[LayerRecord]) -> float:
    """Return the total milliseconds of the layers."""
    return sum(layer.ms for layer in layers)


def break_name(name: str) -> Markup:
    """Return the name with a possible line break after each slash and dot."""
    return Markup("<wbr>").join(sanitize(part) for part in re.split(r"(?<=[/.])", name))


def group_layers(
    sides: Sequence[tuple[str, Sequence[LayerRecord]]], key: Callable[[LayerRecord], str]
) -> list[LayerBar]:
    """Return a bar for each side, all in the same scale.

    Groups are ordered by the time of both sides together; the smallest ones are merged.
    """
    spent: dict[str, float] = {}
    for _, layers in sides:
        for layer in layers:
            spent[key(layer)] = spent.get(key(layer), 0.0) + layer.ms
    names = sorted(spent, key=lambda name: -spent[name])
    if len(names) > KINDS:
        names = [*names[: KINDS - 1], OTHERS]
    longest = max((sum_ms(layers) for _, layers in sides), default=0.0)
    bars = []
    for side, layers in sides:
        groups, start = [], 0.0
        for rank, name in enumerate(names):
            mine = [layer for layer in layers if key(layer) == name or (name == OTHERS and key(layer) not in names)]
            width = 1000 * sum_ms(mine) / longest if longest else 0.0
            groups.append(LayerGroup(name, rank, sum_ms(mine), len(mine), start, width))
            start += width
        bars.append(LayerBar(side, sum_ms(layers), tuple(groups)))
    return bars


def describe_instruction_sets(run: RunRecord) -> dict[str, Any]:
    """Return the content on instruction sets: a row for each, with its notes, and a column for each graph."""
    limited = list(dict.fromkeys(point.who for point in run.isa))
    speeds = [figure.value for point in run.isa if (figure := point.measurements.get("throughput"))]
    metrics = ("throughput", "latency", run.loss)
    rows: list[dict[str, Any]] = []
    for isa in dict.fromkeys(point.isa for point in run.isa):
        mine: dict[str, IsaRecord] = {point.who: point for point in reversed(run.isa) if point.isa == isa}
        notes = []
        for point in run.isa:
            if point.isa == isa:
                notes += [point.note, "" if point.honoured else "not honoured: newer kernels ran"]
        unique = [note for note in dict.fromkeys(notes) if note]
        rows.append({"isa": isa, "points": [mine.get(who) for who in limited], "notes": unique})
    return {
        "limited": limited,
        "isa_metrics": [metric for metric in metrics if any(metric in point.measurements for point in run.isa)],
        "isa_rows": rows,
        "highest": max(speeds, default=0.0),
    }


def describe_host(host: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of the host's facts in words, the known ones first."""
    ordered = [*(name for name in HOST if name in host), *(name for name in host if name not in HOST)]
    facts = []
    for name in ordered:
        content = host[name]
        if content in (None, "", [], 0) or (name == "features" and host.get("instruction_sets")):
            continue
        in_bytes = name.endswith("_bytes") and isinstance(content, int | float) and abs(content) < 2**63
        words = f"{format_number(content / 2**30)} GiB" if in_bytes else format_fact(content)
        facts.append((HOST.get(name, name.replace("_", " ").capitalize()), words))
    return facts


def describe_origin(run: RunRecord) -> list[tuple[str, str]]:
    """Return names and values of the facts on source and data."""
    source, data = run.source, run.data
    return [
        ("Source", source.name),
        ("Format", source.format),
        ("Input", f"{source.size[1]}×{source.size[0]}" if source.size else "any"),
        ("Answer", "a person’s mask" if source.meaning == "person" else "tensors, compared as they are"),
        ("Digest", Markup("<code>{}</code>").format(sanitize(source.digest))),
        ("Frames", f"{format_count(data.frames, 'frame')}, {'with' if data.labelled else 'without'} masks"),
        ("From", data.origin or "–"),
        ("Calibration", format_count(data.calibration_frames, "frame")),
        ("Published as", run.published or "nothing"),
    ]
