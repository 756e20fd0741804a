"""Figures of the quality network's model card, from models/quality/measurements/."""

import json
import statistics
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parent.parent / "models/quality/measurements"


def read_stored(name: str) -> Any:
    """Return a stored measurement."""
    return json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))


def render_ladders() -> str:
    """Return a table of τ of scores and degrees of damage, of our network and of BRISQUE, by clip."""
    found = read_stored("ladders")
    clips, ladders = (list(dict.fromkeys(row[key] for row in found["ladders"])) for key in ("clip", "ladder"))
    rows = {(row["clip"], row["ladder"]): row for row in found["ladders"]}
    lines = [f"| damage | trained on | {' | '.join(clips)} |", "|---" * (2 + len(clips)) + "|"]
    for ladder in ladders:
        own = [rows[clip, ladder] for clip in clips]
        cells = (
            f"{row['tau']:.2f} ({row['brisque_tau']:.2f})" if "brisque_tau" in row else f"{row['tau']:.2f}"
            for row in own
        )
        lines.append(f"| {ladder} | {'yes' if own[0]['trained'] else 'no'} | {' | '.join(cells)} |")
    ours, peer = found["pairs_in_order"], found["brisque_pairs_in_order"]
    pairs = f"{100 * ours['share']:.1f} %" + (f", BRISQUE {100 * peer['share']:.1f} %" if peer else "")
    return "\n".join(
        [
            *lines,
            "",
            "Kendall's τ of the score against the degree, over the clean clip and six degrees of damage; in brackets",
            f"BRISQUE's. Of {ours['pairs']} pairs of a clean clip and another one at the strong end, the clean one has",
            f"the higher score in {pairs}. NIMA: {found['nima']}.",
        ]
    )


def render_training() -> str:
    """Return a paragraph on the quality network's training and its accuracy on held-out pictures."""
    facts = read_stored("training")
    return (
        f"Seed {facts['seed']}, {facts['trained_on']} samples. On {facts['samples']} samples of pictures held "
        f"out, scores follow the labels with a rank correlation of {facts['spearman']:.3f} and a mean error of "
        f"{facts['mean_error']:.1f} points; of the pairs of one ladder {100 * facts['in_order']:.1f} % are in order."
    )


def render_assess() -> str:
    """Return a table of the time that scoring takes."""
    found = read_stored("speed")
    middle = {name: statistics.median(values) for name, values in found["seconds"].items()}
    names = {
        "plain_loop": "OpenCV reads a frame, TensorFlow judges it, then the next",
        "assess_every_frame": "`danmatte assess --no-people --fps 24`, every frame judged",
        "assess_with_people": "`danmatte assess`, two frames a second, and people",
        "masks": "`danmatte track`",
        "masks_and_assess": "`danmatte track --assess`",
    }
    lines = ["| 720 frames of 720p | s |", "|---|---|"]
    lines += [f"| {words} | {middle[name]:.1f} |" for name, words in names.items()]
    host, more = found["host"], 100 * found["more_than_masks"]
    words = f"{found['speedup']:.1f} × the plain loop, and with masks {more:.0f} % more than masks alone."
    return "\n".join([*lines, "", f"{host['cores']} cores of {host['cpu']}; {words}"])
