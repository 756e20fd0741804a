"""Formatting of figures, times and names, for the terminal and for pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from danmatte_workbench.report.records import Figure

# Control characters and bidirectional marks, with which a graph's author could hide or reorder text.
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
MINUS = "−"
THIN_SPACE = "\u202f"


@dataclass(frozen=True)
class Term:
    """Texts of a metric for people: title, unit and explanation."""

    title: str
    unit: str
    about: str


TERMS = {
    "throughput": Term("Throughput", "frames/s", "frames a second, with the parallelism of the configuration"),
    "speedup": Term("Speedup", "×", "throughput divided by the source's in its faster setting, in the same rounds"),
    "latency": Term(
        "Latency", "ms", "milliseconds from a frame to its result, with the configured number of requests in flight"
    ),
    "latency_p95": Term("Latency, 95 of 100", "ms", "95th percentile of the latency"),
    "latency_p99": Term("Latency, 99 of 100", "ms", "99th percentile of the latency"),
    "iou_drop": Term(
        "IoU lost",
        "points",
        "loss of overlap (intersection over union, in hundredths): how much less a candidate's masks overlap the true "
        "masks than the source's do, or, without true masks, how much they differ from the source's; lower is better",
    ),
    "disagreement": Term(
        "Disagreement",
        "points",
        "difference from the source's outputs, from 0 to 100, by the metric of their kind (class scores, boxes, "
        "regions …); lower is better",
    ),
    "mean_iou": Term("Mean IoU", "", "intersection over union with the true masks, mean over frames"),
    "boundary_iou": Term("Boundary IoU", "", "the same, but only in a band along outlines"),
    "iou_under_2": Term("IoU, people under 2 %", "", "mean IoU of frames with less than 2 % people"),
    "iou_2_to_15": Term("IoU, people 2–15 %", "", "mean IoU of frames with 2 to 15 % people"),
    "iou_over_15": Term("IoU, people over 15 %", "", "mean IoU of frames with 15 % people or more"),
    "top1": Term("Top-1 agreement", "%", "share of frames with the same top class as the source"),
    "size_bytes": Term("Size", "MB", "graph and weights on disk"),
}


def get_term(metric: str) -> Term:
    """Return the metric's term; for an unknown metric, one made from its key."""
    return TERMS.get(metric) or Term(metric.replace("_", " ").capitalize(), "", metric)


def sanitize(text: str) -> str:
    """Return the text with invisible characters replaced by �: they could control a terminal or reorder a line."""
    return INVISIBLE.sub("�", text)


def format_number(value: float, digits: int = 3) -> str:
    """Format a number with significant digits and a true minus sign, in scientific notation outside 1e-4 … 1e15."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e15:
        text = f"{value:.{digits - 1}e}"
    else:
        magnitude = int(f"{abs(value):e}".partition("e")[2])
        text = f"{value:,.{max(0, digits - 1 - magnitude)}f}".replace(",", THIN_SPACE)
    return text.replace("-", MINUS)


def format_tick(value: float) -> str:
    """Format a tick of an axis, without trailing zeros."""
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text).replace(",", THIN_SPACE).replace("-", MINUS)


def format_fixed(value: float, places: int) -> str:
    """Format a number with decimal places; zero has no minus sign."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def format_value(value: float, metric: str) -> str:
    """Format a value without unit: bytes as megabytes, losses with 2 decimal places, IoU with 3."""
    if metric == "size_bytes":
        return format_number(value * 1e-6)
    if metric in ("iou_drop", "disagreement"):
        return format_fixed(value, 2)
    return format_fixed(value, 3) if "iou" in metric.split("_") else format_number(value)


def format_figure(figure: Figure, metric: str) -> str:
    """Format the figure's value without its unit."""
    return format_value(figure.value, metric)


def format_interval(figure: Figure, metric: str) -> str:
    """Format the figure's interval without its unit."""
    return f"{format_value(figure.low, metric)} … {format_value(figure.high, metric)}"


def format_unit(figure: Figure, metric: str) -> str:
    """Return the suffix of a value, such as ``×`` or `` frames/s``."""
    unit = get_term(metric).unit or ("" if figure.unit in ("IoU", "bytes") else figure.unit)
    return unit if unit in ("×", "%", "") else f" {unit}"


def format_measure(figure: Figure, metric: str) -> str:
    """Format a figure's value with its unit: ``5.03×``, ``102 frames/s``."""
    return format_figure(figure, metric) + format_unit(figure, metric)


def format_duration(seconds: float) -> str:
    """Format a duration as hours and minutes, minutes and seconds, or seconds."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_time(iso: str) -> str:
    """Format an ISO 8601 timestamp as date, hour and minute; other text is returned sanitized."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return sanitize(iso)
    zone = when.strftime(" %Z") if when.tzinfo else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def format_count(count: int, noun: str) -> str:
    """Format a count with its noun: ``1 frame``, ``2 frames``."""
    return f"{count:,}".replace(",", THIN_SPACE) + f" {noun}{'' if count == 1 else 's'}"


def format_settings(configuration: Mapping[str, Any]) -> str:
    """Format a configuration in one line: ``CPU · throughput · f32 · streams 2``."""
    words = []
    for name, setting in configuration.items():
        if setting in (None, ""):
            continue
        if isinstance(setting, str):
            words.append(setting)
        elif isinstance(setting, bool):
            words.append(name if setting else f"no {name}")
        else:
            words.append(f"{name.replace('_', ' ')} {format_fact(setting)}")
    return " · ".join(words)


def format_fact(content: Any) -> str:
    """Format a value of any JSON type in words."""
    if content is None:
        return "–"
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, float):
        return format_number(content)
    if isinstance(content, Mapping):
        return ", ".join(f"{name} {format_fact(item)}" for name, item in content.items()) or "–"
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ", ".join(format_fact(item) for item in content) or "–"
    return str(content)
