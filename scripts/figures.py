"""Write figures into the papers, from the models' measurements/ and docs/research/graphs/; `--check` only compares.

A paper contains figures between `<!-- figures: NAME -->` and `<!-- end -->`. They are generated, never typed.
"""

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from library_figures import render_library
from model_figures import draw_others, render_others
from quality_figures import render_assess, render_ladders, render_training
from service_figures import render_xeon

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "models/deeplab/measurements"
PAPERS = (
    ROOT / "README.md",
    ROOT / "models/deeplab/MODEL_CARD.md",
    ROOT / "models/quality/MODEL_CARD.md",
    ROOT / "docs/guides/library.md",
    ROOT / "docs/reference/figures.md",
    ROOT / "docs/research/graphs.md",
)
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
MACHINES = {"avx2": "AVX2 (Zen 3)", "vnni": "AVX-512 with VNNI (Zen 5)"}  # two cores of each
XEON = "AVX-512 with VNNI (Xeon)"
XEON_AS_AVX2 = "AVX2, emulated (Xeon)"
DEFAULT = {"speed": MACHINES["vnni"], "speed_xeon": XEON, "speed_avx2": XEON_AS_AVX2}
PLAIN = {"portrait_plain_speed": XEON, "portrait_plain_speed_avx2": XEON_AS_AVX2}
MODELS = {"official": "official VOC network", "source": "source graph", "published": "published version"}

KEPT = {"Nodes": "nodes", "JSEventListeners": "listeners"}


def read_stored(name: str) -> Any:
    """Return a stored measurement."""
    return json.loads((STORED / f"{name}.json").read_text(encoding="utf-8"))


def render_accuracy() -> str:
    """Return a table of scores by kind of scene: official network, source graph and published version."""
    scenes = {name: read_stored(name)["scenes"] for name in MODELS}
    lines = [f"| scenes | score | {' | '.join(MODELS.values())} |", "|---|---|---|---|---|"]
    for scene, found in scenes["source"].items():
        for metric, item in found.items():
            values = (scenes[name].get(scene, {}).get(metric) for name in MODELS)
            cells = (f"{value['value']:.3f}" if value else "–" for value in values)
            count = f"{scene} ({item['samples']})"
            lines.append(f"| {count} | {metric.replace('_', ' ')}, {item['unit']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def render_speed() -> str:
    """Return a table of the published versions' throughput beside TensorFlow's and OpenVINO's, and of their loss."""
    heads = (
        "graph",
        "stock TensorFlow, oneDNN on",
        "off",
        "OpenVINO, uncut",
        "with NNCF's defaults",
        "danmatte",
        "speedup",
        "in 16:9",
        "IoU lost, points",
    )
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for label, prefix in (("the default model", ""), ("a public DeepLab export", "portrait_")):
        found = read_stored(f"{prefix}speed")
        winner, stock = found["winner"], found["fastest_stock"]
        names = (
            "TensorFlow, oneDNN on",
            "TensorFlow, oneDNN off",
            "OpenVINO, uncut",
            "OpenVINO, uncut, NNCF defaults",
            winner,
        )
        cells = " | ".join(f"{found['throughput'][item]['value']:.1f}" for item in names)
        ratio, wide = found["ratios"][stock], found["over_stock"][f"{winner} 16:9"]
        lost = found["lost"][winner]["iou_drop"]
        speedup = f"**{ratio['value']:.1f} ×** ({ratio['low']:.1f}–{ratio['high']:.1f})"
        drop = f"{lost['value']:.2f} ({lost['low']:.2f} to {lost['high']:.2f})"
        lines.append(f"| {label} | {cells} | {speedup} | {wide['value']:.1f} × | {drop} |")
    host = read_stored("speed")["host"]
    return "\n".join(
        [
            *lines,
            "",
            f"Frames a second on {host['cores']} cores of {host['cpu']}, from frames to masks of the input's size.",
            "The speedup is the median ratio of the rounds, over stock TensorFlow's faster setting. IoU is measured on",
            "the masks of `people/val`, which were also used to choose the version. IoU lost is compared with the",
            "source graph's masks; negative means more accurate. Intervals are 95 %.",
        ]
    )


def render_service() -> str:
    """Return a table of the service under load, with real 720p frames, by kind of machine."""
    columns = {label: _read_service(folder) for folder, label in MACHINES.items()}
    rows = next(iter(columns.values()))
    return "\n".join(
        [
            f"| | {' | '.join(columns)} |",
            "|---" * (len(columns) + 1) + "|",
            *(f"| {row} | {' | '.join(column[row] for column in columns.values())} |" for row in rows),
        ]
    )


def _read_service(folder: str) -> dict[str, str]:
    """Return the column of a machine."""
    parts = ("cost", "scaling", "overload", "swaps", "workers", "leavers", "peers", "soak", "soak-toy")
    cost, scaling, overload, swaps, workers, leavers, peers, soak, toy = (
        read_stored(f"service/{folder}/{part}") for part in parts
    )
    found = {}
    for kind, label in (("mattes", "masks of 320×180"), ("v2", "raw tensors, V2")):
        for what, unit in (("per_s", "a second"), ("p50_ms", "p50, ms"), ("p99_ms", "p99, ms")):
            cells = [statistics.median(scaling[kind][name][what]) for name in ("one core", "two cores")]
            gain = f" ({scaling[kind]['ratio']:.2f} ×)" if what == "per_s" else ""
            found[f"{label}: {unit}, one core → two"] = f"{cells[0]:.0f} → {cells[1]:.0f}{gain}"
    rivals = {name: f"{peer['per_s']:.0f}" for name, peer in peers["peers"].items()}
    served_ms = statistics.median(item["served_ms"] for item in cost["cpu"])
    killed = workers["killed"]
    left_behind = max(0, leavers["after"]["descriptors"] - leavers["before"]["descriptors"])
    return found | {
        "CPU time of a mask; over decode, resize, infer and encode alone": f"{served_ms:.1f} ms; "
        f"{cost['cpu_ratio']:.2f} ×",
        "the same, over these parts one after another": f"{cost['in_order_ratio']:.2f} ×",
        "raw tensors, over `benchmark_app`": f"{100 * cost['v2_share']:.0f} %",
        "masks a second side by side: danmatte, FastAPI, LitServe": ", ".join(
            rivals[name] for name in ("danmatte", "fastapi", "litserve")
        ),
        "p99 at twice the capacity, over that at 80 %; all others get 429": f"{overload['p99_ratio']:.2f} ×",
        "versions swapped under full load → posts failed": f"{swaps['swaps']}, and a corrupt one → {swaps['failed']}",
        "workers killed under load → posts failed": f"{killed['kills']} → {sum(killed['failures'].values())}",
        "callers that left at random → requests in progress, descriptors left behind": f"{leavers['left']:,} → "
        f"{leavers['after']['inside']}, {left_behind}",
        "posts → lost, growth of memory per post": _describe_soak(soak),
        "the same with a graph that only averages brightness": _describe_soak(toy),
    }


def _describe_soak(run: Any) -> str:
    return f"{run['answered']:,} → {run['failed']}, {run['memory_slope_bytes_per_post']:.0f} bytes"


def render_players() -> str:
    """Return a table of the steadiness of tracks, and notes on speed, size and memory."""
    found, long = read_stored("players"), read_stored("players-long")["long"]
    race, held, mib = found["pipeline"]["ratios"], found["pipeline"]["held_share"], long["whole"]["memory_mib"]
    resumed, truncated = long["resumed"], long["truncated"]
    whole = "every one" if resumed["same_times"] else "NOT every one"
    heads = ("clip", "masks", "IoU", "flicker", "change of the error", "of IoU", "recall", "gaps", "holes")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for clip, ways in found["clips"].items():
        for way, item in ways.items():
            cells = [f"{item['iou']:.3f}"]
            for what in ("flicker", "error_change", "iou_change"):
                fell = item.get(f"{what}_lower")
                cells.append(
                    f"{item[what]:.3f}"
                    + (f" ({'−' if fell >= 0 else '+'}{abs(100 * fell):.0f} %)" if fell is not None else "")
                )
            cells += [f"{100 * item['recall']:.1f} %", f"{item['gaps']:.0f}", f"{100 * item['holes']:.2f} %"]
            lines.append(f"| `{clip}` | {way} | {' | '.join(cells)} |")
    notes = (
        "Recall: share of people's pixels that is masked at the threshold that masks 0.5 % of the background. Gaps: "
        "parts of people that are missing for one frame. Holes: share of people's area that is a hole in the mask.",
        f"`danmatte track` compared with a plain loop: {race['concurrent']['median']:.2f} × as fast by concurrency, "
        f"{race['reusing']['median']:.2f} × if masks are also reused ({100 * held:.0f} % of them; IoU with "
        f"masks of every frame {found['pipeline']['iou_with_every_frame']:.3f}), and "
        f"{race['closer']['median']:.2f} × with a second pass over people in addition.",
        f"A `.mattes` track takes {100 * found['size']['share']:.0f} % of `.webmask`'s bytes.",
        f"{long['minutes']:g} minutes of 720p, {resumed['frames']:,} frames, in "
        f"{long['whole']['seconds'] / 60:.1f} minutes: memory {mib[0]:.0f} → {mib[-1]:.0f} MiB. "
        f"Killed half-way and started again, {whole} of them had exactly one mask, at its time. "
        f"A truncated copy gave {truncated['summary']['masks']:,} masks and exit code {truncated['exit_code']}.",
    )
    return "\n".join([*lines, "", *(f"- {line}" for line in notes)])


def render_page() -> str:
    """Return a table of the page's cost in a browser."""
    found = read_stored("page")
    lines = [
        "| CPU | repaints | scripts' CPU, ms a repaint | wall clock: median | 95th percentile | layouts a second |",
        "|---|---|---|---|---|---|",
    ]
    for rate, item in found["playing"].items():
        cells = [f"{rate} × slower" if rate != "1" else "full speed", f"{item['repaints']}"]
        cells += [f"{item[name]:.2f}" for name in ("script_cpu_ms_mean", "script_ms_median", "script_ms_p95")]
        lines.append(f"| {' | '.join(cells)} | {item['layouts_per_s']:.0f} |")
    long, looping = found["long_track"], found["looping"]
    samples = looping["samples"]
    kept = [f"{samples[-1][name] - samples[1][name]:+,} {word}" for name, word in KEPT.items()]
    return "\n".join(
        [
            *lines,
            "",
            f"- {looping['minutes']:g} minutes of the film in a loop, {looping['speed']:g} times as fast: in "
            f"{samples[-1]['loops']:,} loops and {samples[-1]['repaints']:,} repaints the heap grew by "
            f"{looping['heap_bytes_per_hour'] / 1024:.0f} KiB an hour of the film; after the first tenth "
            f"{' and '.join(kept)} were added.",
            f"- A track of {long['hours']:g} hours shows its first mask after {long['requests']} requests and "
            f"{long['bytes']:,} bytes.",
        ]
    )


def render_lost() -> str:
    """Return the published version's loss, as confirmed by its search, and by kind of scene."""
    version = max((path for path in STORED.parent.glob("*/manifest.json")), key=lambda path: int(path.parent.name))
    confirmed = json.loads(version.read_text(encoding="utf-8"))["confirmed"]
    native = next(item for item in confirmed if not item["emulated"])
    lines = [
        f"Version {version.parent.name} loses **{native['value']:.2f} points of IoU ({native['low']:.2f} to "
        f"{native['high']:.2f})** on {native['samples']} pictures that weren't used to choose it. By kind of scene, "
        "over all pictures of `people/val`, `people/val_everyday` and the two clips:",
        "",
        "| scenes | source graph, mean IoU | published | lost, points |",
        "|---|---|---|---|",
    ]
    scenes = {name: read_stored(name)["scenes"] for name in ("source", "published")}
    for scene, found in scenes["source"].items():
        if scene == "val":  # listed by its two kinds
            continue
        before, after = found["mean_iou"]["value"], scenes["published"][scene]["mean_iou"]["value"]
        samples = found["mean_iou"]["samples"]
        lines.append(f"| {scene} ({samples}) | {before:.3f} | {after:.3f} | {100 * (before - after):.1f} |")
    levels = ", ".join(f"{item['instruction_set']} {item['value']:.2f} ({item['samples']})" for item in confirmed)
    return "\n".join(
        [
            *lines,
            "",
            f"Points lost by instruction set, with the number of pictures: {levels}. All but the last are emulated.",
        ]
    )


def render_cpus() -> str:
    """Return a sentence on the published version under each instruction set, compared with the graph in floats."""
    found = read_stored("cpus")
    drops = [item["iou_drop"] for item in found["levels"]]
    worst = max(drops, key=lambda drop: abs(drop["value"]))
    apart = max(item["masks_apart"]["value"] for item in found["levels"])
    levels = ", ".join(item["level"] for item in found["levels"])
    lost = f"{worst['value']:.2f} points of IoU ({worst['low']:.2f} to {worst['high']:.2f})"
    return (
        f"On {worst['samples']} pictures of `people/{found['data']}` with people `{found['version']}` loses {lost} "
        f"compared with the same graph computed in floats, equally under each of {levels}. The mean IoU of the two "
        f"masks of a picture is {100 - apart:.1f} %."
    )


def render_shares() -> str:
    """Return a table of IoU by the person's share of the frame."""
    shares = {"iou_under_2": "under 2 %", "iou_2_to_15": "2 to 15 %", "iou_over_15": "over 15 %"}
    lines = [f"| a person's share of the frame | {' | '.join(shares.values())} |", "|---" * (len(shares) + 1) + "|"]
    for name in ("source", "published"):
        found = read_stored(name)["scenes"]["val_everyday"]
        cells = (f"{found[share]['value']:.2f} ({found[share]['samples']})" for share in shares)
        lines.append(f"| {MODELS[name]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def render_peers() -> str:
    """Return a table of the published version and other networks on the same pictures."""
    found = read_stored("unseen")["peers"]
    kinds = list(next(iter(found.values())))
    lines = [f"| mean IoU | {' | '.join(kinds)} |", "|---" * (len(kinds) + 1) + "|"]
    for name, scores in found.items():
        label = name.replace("version 3", "version 3, of an earlier source")
        lines.append(f"| {label} | {' | '.join(f'{scores[kind]:.3f}' for kind in kinds)} |")
    return "\n".join(lines)


def render_plain() -> Iterator[tuple[str, str, str]]:
    """Yield rows on a public export optimized with default options: speed, raced on an idle machine, and loss."""
    run = read_stored("portrait_standard")
    winner = next(trial for trial in run["trials"] if trial["name"] == run["winner"])
    gained, minutes = winner["measurements"]["iou_drop"], round(run["seconds"] / 60)
    label = f"a public DeepLab export of portraits, by the plain command with labelled pictures in {minutes} minutes"
    for name, machine in PLAIN.items():
        yield label, _format_speedup(name), machine
        label = "the same version, the same CPU without its newer instructions"
    frames = winner["confirmation"]["frames"]
    yield (
        f"points of IoU that this version gains, on {frames} pictures not used for choosing or training it",
        f"{-gained['value']:.1f} ({-gained['high']:.1f}–{-gained['low']:.1f})",
        XEON,
    )


def _format_speedup(name: str) -> str:
    """Return the speedup of a stored race over stock TensorFlow's faster setting, with its interval."""
    ratio = read_stored(name)["speedup"]
    return f"{ratio['value']:.1f} × ({ratio['low']:.1f}–{ratio['high']:.1f})"


def render_summary() -> str:
    """Return the table of README, with the machine of each figure."""
    source, published = (read_stored(name)["scenes"] for name in ("source", "published"))
    lost = {
        scene: f"{100 * (source[scene]['mean_iou']['value'] - published[scene]['mean_iou']['value']):.1f} "
        f"({source[scene]['mean_iou']['samples']})"
        for scene in ("val: ccp", "val_everyday", "davis_hike", "davis_tennis")
    }
    served = {folder: _read_service(folder) for folder in MACHINES}
    clip = read_stored("players")["clips"]["davis_hike"]["live"]
    rows = [
        *(
            ("default model over stock TensorFlow's faster setting, 513×513 in and out", _format_speedup(name), machine)
            for name, machine in DEFAULT.items()
        ),
        (
            "points of IoU that the default model loses on fashion, everyday pictures, two clips (how many)",
            ", ".join(lost.values()),
            "any: the same masks",
        ),
        *render_plain(),
    ]
    for folder, machine in MACHINES.items():
        masks, p99 = (served[folder][f"masks of 320×180: {what}, one core → two"] for what in ("a second", "p99, ms"))
        per_s = masks.partition("→ ")[2].partition(" (")[0]
        rows.append(
            ("masks of 720p frames over HTTP, 320×180", f"{per_s} a second, p99 {p99.partition('→ ')[2]} ms", machine)
        )
    rows.append(("flicker of masks, stabilised live, on `davis_hike`", f"−{100 * clip['flicker_lower']:.0f} %", "–"))
    cells = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(["| what | figure | two cores of |", "|---|---|---|", *cells])


FIGURES: dict[str, Callable[[], str]] = {
    "assess": render_assess,
    "ladders": render_ladders,
    "training": render_training,
    "accuracy": render_accuracy,
    "cpus": render_cpus,
    "library": render_library,
    "lost": render_lost,
    "page": render_page,
    "others": render_others,
    "peers": render_peers,
    "players": render_players,
    "service": render_service,
    "service_xeon": render_xeon,
    "shares": render_shares,
    "speed": render_speed,
    "summary": render_summary,
}
DRAWINGS: dict[Path, Callable[[], str]] = {ROOT / "docs/research/graphs.svg": draw_others}


def main() -> int:
    """Write the figures, or with `--check` compare them and return 1 if a paper has others."""
    parser = argparse.ArgumentParser(prog="scripts/figures.py", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only compare, change nothing")
    check = parser.parse_args().check
    stale = []
    for paper in PAPERS:
        text = paper.read_text(encoding="utf-8")
        fresh = BLOCK.sub(lambda match: f"{match[1]}{FIGURES[match[2]]()}\n{match[4]}", text)
        if fresh != text:
            stale.append(paper.name)
            if not check:
                paper.write_text(fresh, encoding="utf-8")
    for drawing, draw in DRAWINGS.items():
        fresh = draw()
        if not drawing.exists() or drawing.read_text(encoding="utf-8") != fresh:
            stale.append(drawing.name)
            if not check:
                drawing.write_text(fresh, encoding="utf-8")
    if stale:
        print(f"{'stale' if check else 'rewritten'}: {', '.join(stale)}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
