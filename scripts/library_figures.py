"""Figures of libraries, which `scripts/figures.py` writes into the guide."""

import json
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parent.parent / "models/deeplab/measurements/library.json"
RUNS = {
    "shards": "two shards, one killed by SIGKILL half-way and restarted",
    "cluster": "a cluster of three Ray nodes, one killed by SIGKILL half-way",
}


def render_library() -> str:
    """Return a table: cost of killed workers, differences at seams, gain of a second worker, and driver memory."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    host, kills, seams, memory = stored["host"], stored["kills"], stored["seams"], stored["memory"]
    rows = [(f"{kills['clips']} clips in S3, {RUNS[name]}", _describe_run(kills, name)) for name in RUNS]
    reasons = ", ".join(f"`{Path(video).name}`: {reason}" for video, reason in kills["shards"]["given_up"].items())
    rows.append(
        ("a clip that crashes its decoder, and one on which it hangs", f"skipped after two attempts each ({reasons})")
    )
    least = min(seams["least_iou_from_a_second_before_to_22_after_each_place"])
    rows.append(
        (
            f"a video of {seams['minutes']:g} minutes in parts by two shards, compared with the undivided one",
            f"{seams['masks_that_differ']} of {seams['masks'][0]} masks differ; lowest IoU near borders {least:.3f}",
        )
    )
    rows += _list_scaling(stored.get("scaling"))
    before, *_, after = memory["resident_mib_after"].values()
    rows.append((f"memory of a driver over {memory['objects']} objects", f"{before} MiB before, {after} after"))
    lines = ["| what | figure |", "|---|---|", *(f"| {what} | {figure} |" for what, figure in rows)]
    return "\n".join([*lines, "", f"On {host['cores']} cores of an {host['cpu']}."])


def _describe_run(kills: dict[str, Any], name: str) -> str:
    run, clips = kills[name], kills["clips"]
    return (
        f"{run['tracks']} of {clips} tracks, {run['same_bytes_as_alone']} with a single machine's bytes, "
        f"{run['made_again']} made again, {run['written_more_than_once']} written twice"
    )


def _list_scaling(scaling: dict[str, Any] | None) -> list[tuple[str, str]]:
    if scaling is None:
        return []
    low, high = min(scaling["ratios"]), max(scaling["ratios"])
    alone = scaling["ratio_of_the_network_alone"]
    figure = f"{scaling['ratio']:.2f} × ({low:.2f}–{high:.2f}); processes that run only the network {alone:.2f} ×"
    return [("two workers compared with one, each pinned to a core", figure)]
