"""How figures, times and names are written, on the terminal and on pages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from danmatte_workbench.report.run import Figure

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
MINUS = "−"


@dataclass(frozen=True)
class Term:
    """A metric for people: a column's title, its unit, and what it is."""

    title: str
    unit: str
    about: str


TERMS = {
    "throughput": Term("Throughput", "frames/s", "frames a second, with as many at once as the configuration says"),
    "speedup": Term("Speedup", "×", "throughput over the fastest setting of stock TensorFlow, in the same rounds"),
    "latency": Term("Latency", "ms", "milliseconds from a frame to its answer, one at a time"),
    "iou_drop": Term("IoU lost", "points", "intersection over union lost, in hundredths; negative is a gain"),
    "disagreement": Term("Disagreement", "points", "100 · (1 − cosine similarity) with the source's tensors"),
    "mean_iou": Term("Mean IoU", "", "intersection over union with the masks, mean over frames"),
    "boundary_iou": Term("Boundary IoU", "", "the same, only along outlines"),
    "top1_agreement": Term("Top-1 agreement", "%", "frames on which the strongest class is the source's"),
    "size_bytes": Term("Size", "MB", "graph and weights on disk"),
}


def term(metric: str) -> Term:
    """What a metric is called; an unknown one speaks for itself."""
    return TERMS.get(metric) or Term(metric.replace("_", " ").capitalize(), "", metric)


def plain(text: str) -> str:
    """The text, with what can't be seen or would command a terminal or turn its direction made visible."""
    return UNSEEN.sub("�", text)


def number(value: float, digits: int = 3) -> str:
    """Rounded to significant digits, never in scientific notation within reason; a real minus sign."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e15:
        text = f"{value:.{digits - 1}e}"
    else:
        places = max(0, digits - 1 - _magnitude(value))
        text = f"{value:,.{places}f}".replace(",", "\u202f")
    return text.replace("-", MINUS)


def tick(value: float) -> str:
    """A round number on an axis, without idle zeros."""
    text = f"{value:,.6f}".rstrip("0").rstrip(".")
    return ("0" if text == "-0" else text).replace(",", "\u202f").replace("-", MINUS)


def _magnitude(value: float) -> int:
    return int(f"{abs(value):e}".partition("e")[2])


def scaled(figure: Figure, metric: str) -> tuple[float, float, float]:
    """Value and interval in the metric's own unit: megabytes for bytes, small losses cut at two places."""
    factor = 1e-6 if metric == "size_bytes" else 1.0
    return figure.value * factor, figure.low * factor, figure.high * factor


def short(value: float, metric: str) -> str:
    """A value as its metric is usually written: losses to hundredths of a point, IoU to four places."""
    if metric in ("iou_drop", "disagreement"):
        return fixed(value, 2)
    return fixed(value, 3) if metric.endswith("_iou") else number(value)


def fixed(value: float, places: int) -> str:
    """Rounded to places; no minus before a zero."""
    text = f"{value:.{places}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", MINUS)


def value(figure: Figure, metric: str) -> str:
    """The figure's value, without unit."""
    return short(scaled(figure, metric)[0], metric)


def interval(figure: Figure, metric: str) -> str:
    """The figure's interval, without unit."""
    _, low, high = scaled(figure, metric)
    return f"{short(low, metric)} … {short(high, metric)}"


def measure(figure: Figure, metric: str) -> str:
    """Value with unit: ``5.03×``, ``102 frames/s``."""
    unit = term(metric).unit or ("" if figure.unit in ("IoU", "bytes") else figure.unit)
    return f"{value(figure, metric)}{'' if unit in ('×', '%', '') else ' '}{unit}"


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(iso: str) -> str:
    """A time stamp as day and minute; what isn't one stays as it is."""
    try:
        when = datetime.fromisoformat(iso)
    except ValueError:
        return plain(iso)
    zone = when.strftime(" %Z") if when.tzinfo else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def amount(count: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{count:,}".replace(",", "\u202f") + f" {noun}{'' if count == 1 else 's'}"


def memory(size_bytes: float) -> str:
    """Gibibytes."""
    return f"{number(size_bytes / 2**30)} GiB"


def settings(configuration: Mapping[str, Any]) -> str:
    """A configuration in a line: ``CPU · throughput · f32 · 2 streams``."""
    return " · ".join(_setting(name, setting) for name, setting in configuration.items() if setting not in (None, ""))


def _setting(name: str, setting: Any) -> str:
    if isinstance(setting, str):
        return setting
    if isinstance(setting, bool):
        return name if setting else f"no {name}"
    return f"{name.replace('_', ' ')} {anything(setting)}"


def anything(content: Any) -> str:
    """A fact of whatever kind, in words."""
    if content is None:
        return "–"
    if isinstance(content, bool):
        return "yes" if content else "no"
    if isinstance(content, float):
        return number(content)
    if isinstance(content, Mapping):
        return ", ".join(f"{name} {anything(item)}" for name, item in content.items()) or "–"
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ", ".join(anything(item) for item in content) or "–"
    return str(content)
