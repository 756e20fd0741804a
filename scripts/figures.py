"""Writes figures and tables into the papers, from models/deeplab/measurements/ and code; `--check` only compares.

A paper shows figures between `<!-- figures: NAME -->` and `<!-- end -->`; nobody types them.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "models/deeplab/measurements"
PAPERS = (ROOT / "README.md", ROOT / "models/deeplab/MODEL_CARD.md")
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
MODELS = {"official": "official VOC network", "source": "source graph", "published": "published version"}


def stored(name: str) -> Any:
    """A stored measurement."""
    return json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))


def accuracy() -> str:
    """Scores by kind of scene, of the official network, the source graph and the published version."""
    scenes = {name: stored(name)["scenes"] for name in MODELS}
    lines = [f"| scenes | score | {' | '.join(MODELS.values())} |", "|---|---|---|---|---|"]
    for scene, found in scenes["source"].items():
        for metric, item in found.items():
            values = (scenes[name].get(scene, {}).get(metric) for name in MODELS)
            cells = (f"{value['value']:.3f}" if value else "–" for value in values)
            count = f"{scene} ({item['samples']})"
            lines.append(f"| {count} | {metric.replace('_', ' ')}, {item['unit']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def speed() -> str:
    """Throughput of the published versions against stock TensorFlow and OpenVINO's default, and what it cost."""
    heads = (
        "graph",
        "stock TensorFlow, oneDNN on",
        "off",
        "OpenVINO, uncut",
        "danmatte",
        "speedup",
        "IoU lost, points",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for label, prefix in (("the default model", ""), ("a public DeepLab export", "portrait_")):
        found = stored(f"{prefix}speed")
        names = ("TensorFlow, oneDNN on", "TensorFlow, oneDNN off", "OpenVINO, uncut", found["winner"])
        cells = " | ".join(f"{found['throughput'][item]['value']:.1f}" for item in names)
        ratio, lost = found["speedup"], iou_lost(stored(f"{prefix}optimize"))
        speedup = f"**{ratio['value']:.1f} ×** ({ratio['low']:.1f}–{ratio['high']:.1f})"
        drop = f"{lost['value']:.2f} ({lost['low']:.2f} to {lost['high']:.2f})"
        lines.append(f"| {label} | {cells} | {speedup} | {drop} |")
    host = stored("speed")["host"]
    return "\n".join(
        [
            *lines,
            "",
            f"Frames a second at 513×513 on {host['cores']} cores of {host['cpu']}; the speedup is the median of the",
            "ratios round by round, over stock TensorFlow's faster setting. Intervals are 95 %.",
        ]
    )


def iou_lost(run: Any) -> dict[str, float]:
    """What a run's winner lost."""
    winner = next(trial for trial in run["trials"] if trial["name"] == run["winner"])
    lost: dict[str, float] = winner["measurements"]["iou_drop"]
    return lost


def service() -> str:
    """The service under load."""
    found = stored("service")
    slope = found["memory_slope_bytes_per_post"]
    return (
        f"{found['answered']:,} posts over {found['connections']} connections: {found['failed']} lost, "
        f"{found['posts_per_s']:.0f} a second, p50 {found['p50_ms']:.0f} ms, p99 {found['p99_ms']:.0f} ms;\n"
        f"resident memory changed by {slope:.0f} bytes a post."
    )


def settings() -> str:
    """Every setting of the service, as its own code describes it."""
    from service.settings import described, flag, variable

    lines = ["| setting | what | default | environment | flag |", "|---|---|---|---|---|"]
    for name, (says, default) in described().items():
        shown = json.dumps(default) if default != "" else "empty"
        lines.append(f"| `{name}` | {says} | {shown} | `{variable(name)}` | `{flag(name)}` |")
    return "\n".join(lines)


FIGURES: dict[str, Callable[[], str]] = {
    "accuracy": accuracy,
    "speed": speed,
    "service": service,
    "settings": settings,
}


def main() -> int:
    """Write, or compare; 1 if a paper says something else than was measured."""
    parser = argparse.ArgumentParser(prog="scripts/figures.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, only compare")
    check = parser.parse_args().check
    stale = []
    for paper in PAPERS:
        text = paper.read_text(encoding="utf-8")
        fresh = BLOCK.sub(lambda match: f"{match[1]}{FIGURES[match[2]]()}\n{match[4]}", text)
        if fresh != text:
            stale.append(paper.name)
            if not check:
                paper.write_text(fresh, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'rewritten'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
