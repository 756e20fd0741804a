"""Table and chart of graphs by others, from the measurements of `scripts/bench models`."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from danmatte_workbench.report.svg import Attribute, Scale, join, make_element

ROOT = Path(__file__).resolve().parent.parent
STORED = ROOT / "docs/research/graphs"
OURS, UNCUT = "ours", "OpenVINO, uncut"
WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 760, 250, 60, 34, 44, 13
COLOURS = {"uncut": "#9aa5b1", "ours": "#2f6fdb"}
INK, RULE = "#444c56", "#c9d1d9"
FEWEST, TICKS = 0.5, (0.5, 1, 2, 5, 10, 20, 50)

Facts: TypeAlias = dict[str, Any]
Attributes: TypeAlias = dict[str, Attribute]


def read_graphs() -> list[Facts]:
    """Return the stored figures of each graph, in descending order of the gain over OpenVINO uncut."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(STORED.glob("*.json"))]
    return sorted(found, key=lambda facts: -compute_gain(facts))


def compute_gain(facts: Facts) -> float:
    """Return the speed over OpenVINO uncut; 0 if no candidate kept the limit."""
    return float(facts["ratios"]["uncut"]["value"]) if "ratios" in facts else 0.0


def find_fastest(facts: Facts, *, uncut: bool) -> str:
    """Return the name of the framework's faster setting or, with ``uncut``, of OpenVINO's faster precision."""
    speeds: Mapping[str, Any] = facts["throughput"]
    names = [name for name in speeds if name != OURS and not name.endswith("run as ours")]
    return max((name for name in names if name.startswith(UNCUT) == uncut), key=lambda name: speeds[name]["value"])


def render_others() -> str:
    """Return a table with a row for each graph, and a note on how to read it."""
    heads = ("graph", "its framework", "OpenVINO, uncut", "ours", "over its framework", "over OpenVINO uncut")
    lines = [f"| {' | '.join((*heads, 'of it by run-time choices', 'made by', 'lost, points'))} |", "|---" * 9 + "|"]
    graphs = read_graphs()
    for facts in graphs:
        lines.append(f"| {' | '.join((facts['title'], *list_cells(facts)))} |")
    host = graphs[0]["host"]
    notes = [
        "",
        f"Frames a second on {host['cores']} cores of {host['cpu']}, medians of alternating rounds. Ratios are medians "
        "of the ratios of single rounds, with 95 % intervals in brackets. The loss was measured on frames that weren't "
        "used to choose the winner, by the measure of the graph's meaning; in brackets the end of its interval, and "
        "the limit.",
    ]
    return "\n".join([*lines, *notes])


def write_speed(per_s: float) -> str:
    """Return frames a second with three significant digits, without exponents."""
    return f"{float(f'{per_s:.3g}'):,.15g}"


def list_cells(facts: Facts) -> Sequence[str]:
    """Return the cells of a graph's row after its title."""
    speeds = facts["throughput"]
    stock, uncut = (find_fastest(facts, uncut=flag) for flag in (False, True))
    own, plain = (write_speed(speeds[name]["value"]) for name in (stock, uncut))
    cells = [f"{own} ({stock.partition(',')[0]})", plain]
    if "ratios" not in facts:
        return [*cells, "–", "–", "–", "–", "nothing kept the limit", "–"]
    ratios, loss = facts["ratios"], facts["loss"]
    told = [
        f"{item['value']:.1f} × ({item['low']:.1f}–{item['high']:.1f})" for item in (ratios["stock"], ratios["uncut"])
    ]
    by_choices = ratios["uncut"]["value"] / ratios["alike"]["value"]
    made = f"`{facts['recipe']}`, {facts['configuration']['hint']}"
    lost = f"{loss['value']:.2f} (to {loss['high']:.2f}, of {facts['limit']:g})"
    return [*cells, write_speed(speeds[OURS]["value"]), *told, f"{by_choices:.1f} ×", made, lost]


def draw_others() -> str:
    """Return an SVG with bars for each graph: frames a second of OpenVINO uncut and of ours over its framework's."""
    graphs = read_graphs()
    height = TOP + ROW * len(graphs) + 30
    most = max(max(compare(facts).values()) for facts in graphs)
    scale = Scale(FEWEST, max(most * 1.1, 2.0), LEFT, WIDTH - RIGHT, logarithmic=True)
    parts = [write(LEFT, 16, "times the frames a second of its own framework (logarithmic)")]
    for tick in (value for value in TICKS if FEWEST <= value <= scale.high):
        x, name = scale(tick), f"{tick:g} ×"
        colour = INK if tick == 1 else RULE
        line: Attributes = {
            "x1": x,
            "x2": x,
            "y1": TOP - 6,
            "y2": height - 26,
            "stroke": colour,
            "stroke-width": 1.0,
        }
        parts += [make_element("line", line), write(x, height - 10, name, anchor="middle")]
    for number, facts in enumerate(graphs):
        top = TOP + ROW * number
        parts.append(write(LEFT - 10, top + BAR + 4, facts["title"], anchor="end"))
        for place, (who, times) in enumerate(compare(facts).items()):
            parts.append(draw_bar(scale, top + place * (BAR + 2), times, COLOURS[who]))
    legend = [("OpenVINO, uncut", COLOURS["uncut"]), ("ours", COLOURS["ours"])]
    for place, (words, colour) in enumerate(legend):
        box: Attributes = {"x": 8.0 + 130 * place, "y": 6.0, "width": 11.0, "height": 11.0, "fill": colour}
        parts += [make_element("rect", box), write(24 + 130 * place, 16, words)]
    frame: Attributes = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {WIDTH} {height}",
        "role": "img",
    }
    title = make_element("title", {}, "How many times its own framework's speed each graph reaches")
    back = make_element("rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    return f"{make_element('svg', frame, title, back, join(parts))}\n"


def compare(facts: Facts) -> dict[str, float]:
    """Return frames a second of OpenVINO uncut, and of ours if any, over the framework's; medians of rounds."""
    rounds: dict[str, list[float]] = facts["rounds"]
    stock = find_fastest(facts, uncut=False)
    names = {"uncut": find_fastest(facts, uncut=True), **({"ours": OURS} if OURS in rounds else {})}
    return {
        who: statistics.median(one / other for one, other in zip(rounds[name], rounds[stock], strict=True))
        for who, name in names.items()
    }


def draw_bar(scale: Scale, top: float, times: float, colour: str) -> str:
    """Return a bar from 1 to ``times``, with the figure after it."""
    start, end = sorted((scale(1.0), scale(times)))
    bar: Attributes = {
        "x": start,
        "y": top,
        "width": max(1.0, end - start),
        "height": float(BAR),
        "fill": colour,
    }
    return join([make_element("rect", bar), write(end + 5, top + BAR - 2, f"{times:.1f}", size=11)])


def write(x: float, y: float, words: str, *, anchor: str = "start", size: float = 12) -> str:
    """Return a text element at a place."""
    place: Attributes = {
        "x": x,
        "y": y,
        "text-anchor": anchor,
        "font-size": size,
        "font-family": "sans-serif",
        "fill": INK,
    }
    return make_element("text", place, words)
