"""How figures, times and names are written, on the terminal and on pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from danmatte_workbench.report.records import Figure

# Control characters, and marks that turn the direction of writing: a graph's author could hide text behind them.
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
MINUS = "−"
THIN_SPACE = "\u202f"


@dataclass(frozen=True)
class Term:
    """A metric for people: a column's title, its unit, and what it is."""

    title: str
    unit: str
    about: str


TERMS = {
    "throughput": Term("Throughput", "frames/s", "frames a second, with as many at once as the configuration says"),
    "speedup": Term("Speedup", "×", "throughput over the source's own in its faster setting, in the same rounds"),
    "latency": Term(
        "Latency", "ms", "milliseconds from a frame to its answer, with as many on their way as configured"
    ),
    "latency_p95": Term("Latency, 95 of 100", "ms", "what 95 frames of a hundred take at most"),
    "latency_p99": Term("Latency, 99 of 100", "ms", "what 99 frames of a hundred take at most"),
    "iou_drop": Term(
        "IoU lost",
        "points",
        "overlap (intersection over union, in hundredths) that is lost: of the source's with the true masks, or "
        "without any, of the candidate's masks with the source's own; lower is better",
    ),
    "disagreement": Term(
        "Disagreement",
        "points",
        "what is lost of the source's answers, from 0 to 100, by the measure of their kind (class scores, boxes, "
        "regions …); lower is better",
    ),
    "mean_iou": Term("Mean IoU", "", "intersection over union with the masks, mean over frames"),
    "boundary_iou": Term("Boundary IoU", "", "the same, only along outlines"),
    "iou_under_2": Term("IoU, people under 2 %", "", "mean IoU of frames of which people are less than 2 %"),
    "iou_2_to_15": Term("IoU, people 2–15 %", "", "mean IoU of frames of which people are 2 to 15 %"),
    "iou_over_15": Term("IoU, people over 15 %", "", "mean IoU of frames of which people are 15 % or more"),
    "top1": Term("Top-1 agreement", "%", "frames on which the strongest class is the source's"),
    "size_bytes": Term("Size", "MB", "graph and weights on disk"),
}


def get_term(metric: str) -> Term:
    """The metric's term; an unknown metric is named by its own key."""
    return TERMS.get(metric) or Term(metric.replace("_", " ").capitalize(), "", metric)


def sanitize(text: str) -> str:
    """The text with invisible characters shown as �, so that a name can't command a terminal or reorder a line."""
    return INVISIBLE.sub("�", text)


def format_number(value: float, digits: int = 3) -> str:
    """Rounded to significant digits, in scientific notation only beyond 1e-4 … 1e15; a real minus sign."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e15:
        text = f"{value:.{digits - 1}e}"
    else:
        magnitude = int(f"{abs(value):e}".partition("e")[2])
        text = f"{value:,.{max(0, digits - 1 - magnitude)}f}".replace(",", THIN_SPACE)
    return text.replace("-", MINUS)


def format_tick(value: float) -> str:
    """A round number on an axis, without trailing zeros."""
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text).replace(",", THIN_SPACE).replace("-", MINUS)


def format_fixed(value: float, places: int) -> str:
    """Rounded to decimal places; no minus before a zero."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def format_value(value: float, metric: str) -> str:
    """A bare value as its metric is written: bytes as megabytes, losses to hundredths of a point, IoU to 3 places."""
    if metric == "size_bytes":
        return format_number(value * 1e-6)
    if metric in ("iou_drop", "disagreement"):
        return format_fixed(value, 2)
    return format_fixed(value, 3) if "iou" in metric.split("_") else format_number(value)


def format_figure(figure: Figure, metric: str) -> str:
    """The figure's value, without its unit."""
    return format_value(figure.value, metric)


def format_interval(figure: Figure, metric: str) -> str:
    """The figure's 95 % interval, without its unit."""
    return f"{format_value(figure.low, metric)} … {format_value(figure.high, metric)}"


def format_unit(figure: Figure, metric: str) -> str:
    """What follows the value: ``×``, `` frames/s``."""
    unit = get_term(metric).unit or ("" if figure.unit in ("IoU", "bytes") else figure.unit)
    return unit if unit in ("×", "%", "") else f" {unit}"


def format_measure(figure: Figure, metric: str) -> str:
    """Value with unit: ``5.03×``, ``102 frames/s``."""
    return format_figure(figure, metric) + format_unit(figure, metric)


def format_duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_time(iso: str) -> str:
    """A time stamp as day and minute; text that isn't one is returned as it is."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return sanitize(iso)
    zone = when.strftime(" %Z") if when.tzinfo else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def format_count(count: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{count:,}".replace(",", THIN_SPACE) + f" {noun}{'' if count == 1 else 's'}"


def format_settings(configuration: Mapping[str, Any]) -> str:
    """A configuration in a line: ``CPU · throughput · f32 · streams 2``."""
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
    """A fact of any JSON type, in words."""
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
