"""Where, how and with what it was measured, and how to measure it again."""

import base64
import shlex
from collections.abc import Mapping
from typing import Any

from danmatte_workbench.report.markup import Child, Markup, join, tag
from danmatte_workbench.report.run import Run
from danmatte_workbench.report.tables import facts
from danmatte_workbench.report.words import amount, anything, memory, number, term

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


def machine(run: Run) -> Markup:
    """Hardware and limits, libraries, source and data."""
    source, data = run.source, run.data
    size = f"{source.size[1]}×{source.size[0]}" if source.size else "any"
    about: list[tuple[str, Child]] = [
        ("Source", source.name),
        ("Format", source.format),
        ("Input", size),
        ("Answer", "a person’s mask" if source.meaning == "person" else "tensors, compared as they are"),
        ("Digest", tag("code", None, source.digest)),
        ("Frames", f"{amount(data.frames, 'frame')}, {'with' if data.labelled else 'without'} masks"),
        ("From", data.origin or "–"),
        ("Calibration", amount(data.calibration_frames, "frame")),
        ("Published as", run.published or "nothing"),
    ]
    columns = (("Machine", _host(run.host)), ("Libraries", _versions(run.versions)), ("Source and data", facts(about)))
    return tag("div", {"class": "columns"}, *(tag("div", None, tag("h3", None, name), body) for name, body in columns))


def _host(host: Mapping[str, Any]) -> Markup:
    ordered = [*(name for name in HOST if name in host), *(name for name in host if name not in HOST)]
    known = [name for name in ordered if host[name] not in (None, "", [], 0)]
    known = [name for name in known if name != "features" or "instruction_sets" not in known]
    return facts((HOST.get(name, name.replace("_", " ").capitalize()), _fact(name, host[name])) for name in known)


def _fact(name: str, content: Any) -> str:
    if name.endswith("_bytes") and isinstance(content, int | float):
        return memory(content)
    return anything(content)


def _versions(versions: Mapping[str, str]) -> Markup:
    return facts(sorted(versions.items())) if versions else tag("p", None, "not recorded")


def method(run: Run) -> Markup:
    """What the figures mean, in words that a colleague can check."""
    reference = "the true masks" if run.data.labelled else "the source’s own masks"
    told = [
        "Speeds: all contenders were raced in turn, round after round (A B C A B C), each warmed up, on the same "
        "frames, handed over at the source’s size unless another was asked for. What disturbs the machine disturbs "
        f"all of them; a speedup is the median of the rounds’ ratios to {run.fastest_baseline}, not a ratio of two "
        "medians.",
        "Intervals: 95 %. Of speeds from order statistics of the rounds, without assuming a distribution; of accuracy "
        "over frames. The budget is judged by the pessimistic end; what was not measured counts as broken.",
        f"Accuracy: {_accuracy(run, reference)}",
        "Front: the trials that no other beats in throughput without losing more.",
    ]
    missing = _missing(run)
    if missing:
        told.append(f"Not part of this run: {', '.join(missing)}.")
    return tag("ul", {"class": "method"}, *(tag("li", None, *_lead(words)) for words in told))


def _accuracy(run: Run, reference: str) -> str:
    if run.loss == "disagreement":
        return f"{term(run.loss).about}; the worst output counts, mean over {amount(run.data.frames, 'frame')}."
    return (
        f"masks of the source and of each candidate compared with {reference} on {amount(run.data.frames, 'frame')}, "
        f"at the frames’ own size; lost is the difference, in hundredths. "
        f"Calibration used {amount(run.data.calibration_frames, 'frame')}."
    )


def _lead(words: str) -> tuple[Child, str]:
    lead, _, rest = words.partition(":")
    return tag("b", None, f"{lead}."), f" {rest.strip()[:1].upper()}{rest.strip()[1:]}"


def _missing(run: Run) -> list[str]:
    parts = {
        "masks": run.masks,
        "layers": run.layers.before or run.layers.after,
        "the sweep": run.sweep,
        "older instruction sets": run.isa,
    }
    return [name for name, content in parts.items() if not content]


def reproduction(run: Run, text: bytes) -> Markup:
    """The command, and everything that was found as JSON."""
    command = shlex.join(run.command)
    uri = f"data:application/json;base64,{base64.b64encode(text).decode()}"
    button = tag("button", {"type": "button", "data-copy": "command", "hidden": True}, "Copy")
    line = tag(
        "div", {"class": "command"}, tag("pre", {"tabindex": "0"}, tag("code", {"id": "command"}, command)), button
    )
    download = tag("a", {"href": uri, "download": "run.json", "class": "button"}, "Everything as JSON")
    kilobytes = tag("span", {"class": "faint"}, f" {number(len(text) / 1000)} kB, inside this page")
    return join((line, tag("p", None, download, kilobytes)))
