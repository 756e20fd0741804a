"""Accuracy against throughput: the front, the budget, and who is where."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from danmatte_workbench.report import records, scatter
from tests.workbench.report import rundir

SPEEDS = {"a": (10, 0.0), "b": (20, 0.5), "c": (20, 0.4), "d": (15, 0.6), "e": (30, 2.0)}


def trials(facts: dict[str, Any]) -> None:
    """Trials of known speeds and losses."""
    like = facts["trials"][0]
    facts["trials"] = [
        like
        | {
            "name": name,
            "measurements": {
                "throughput": rundir.figure(speed, 0.05, "frames/s"),
                "iou_drop": rundir.figure(loss, 0.1, "points"),
            },
            "accepted": loss <= 1,
        }
        for name, (speed, loss) in SPEEDS.items()
    ]
    facts["winner"] = "c"


def plots(folder: Path, change: rundir.Change) -> list[ElementTree.Element]:
    found = scatter.draw_scatter(records.read_run(rundir.write(folder, change, pictures=False)))
    assert found
    return list(ElementTree.fromstring(f"<div>{found}</div>"))


def mark(plot: ElementTree.Element, name: str) -> tuple[float, float]:
    """Where a trial's mark is."""
    for node in plot.iter():
        if node.tag in ("circle", "path") and (node.findtext("title") or "").startswith(f"{name}:"):
            if node.tag == "circle":
                return float(node.attrib["cx"]), float(node.attrib["cy"])
            x, y = re.match(r"M([\d.-]+) ([\d.-]+)", node.attrib["d"]).groups()
            return float(x), float(y)
    raise AssertionError(name)


def test_the_front_is_what_none_beats_without_losing_more(tmp_path: Path) -> None:
    found = records.read_run(rundir.write(tmp_path, trials, pictures=False))
    assert [trial.name for trial in scatter.find_front(found.trials, "iou_drop")] == ["a", "c", "e"]


def test_faster_is_right_and_better_is_up(tmp_path: Path) -> None:
    for plot in plots(tmp_path, trials):
        (ax, ay), (bx, by), (cx, cy) = (mark(plot, name) for name in "abc")
        assert ax < bx == cx
        assert ay < cy < by


def test_what_loses_too_much_lies_beyond_the_budget(tmp_path: Path) -> None:
    for plot in plots(tmp_path, trials):
        (budget,) = [float(node.attrib["y1"]) for node in plot.iter("line") if node.attrib["class"] == "budget"]
        assert mark(plot, "b")[1] < budget < mark(plot, "e")[1]


def test_one_that_lost_nearly_all_does_not_flatten_the_rest(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        trials(facts)
        facts["trials"][-1]["measurements"]["iou_drop"] = rundir.figure(70, 0.1, "points")

    for plot in plots(tmp_path, change):
        height = float(plot.attrib["height"])
        assert mark(plot, "b")[1] - mark(plot, "a")[1] > height / 12
        assert mark(plot, "e")[1] < height - 50
    assert "e (70.0)" in "".join(plots(tmp_path, change)[0].itertext())


def test_every_mark_lies_inside_the_picture(tmp_path: Path) -> None:
    for plot in plots(tmp_path, lambda _: None):
        width, height = float(plot.attrib["width"]), float(plot.attrib["height"])
        for trial in rundir.content()["trials"]:
            if trial["measurements"]:
                x, y = mark(plot, trial["name"])
                assert 0 < x < width
                assert 0 < y < height


def test_without_figures_there_is_no_plot(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        for trial in facts["trials"]:
            trial["measurements"].pop("iou_drop", None)

    assert scatter.draw_scatter(records.read_run(rundir.write(tmp_path, change, pictures=False))) is None
