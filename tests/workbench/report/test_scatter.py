"""The plot of accuracy against throughput: front, budget, roles and positions."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from danmatte_workbench.report import records, run_page, scatter
from danmatte_workbench.report.records import Figure, RunRecord, TrialRecord
from danmatte_workbench.report.svg import CHARACTER_PX, LINE_PX
from tests.workbench.report import rundir

SPEEDS = {"a": (10, 0.0), "b": (20, 0.5), "c": (20, 0.4), "d": (15, 0.6), "e": (30, 2.0)}


def trials(facts: dict[str, Any]) -> None:
    """Trials with known speeds and losses."""
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
    """Return the position of a trial's mark."""
    for node in plot.iter():
        if node.tag in ("circle", "path") and (node.findtext("title") or "").startswith(f"{name}:"):
            if node.tag == "circle":
                return float(node.attrib["cx"]), float(node.attrib["cy"])
            x, y = re.match(r"M([\d.-]+) ([\d.-]+)", node.attrib["d"]).groups()
            return float(x), float(y)
    raise AssertionError(name)


def test_the_front_has_the_trials_that_no_other_beats_in_speed_and_loss(tmp_path: Path) -> None:
    found = records.read_run(rundir.write(tmp_path, trials, pictures=False))
    assert [trial.name for trial in scatter.find_front(found.trials, "iou_drop")] == ["a", "c", "e"]


def test_faster_trials_are_drawn_further_right_and_more_accurate_ones_higher(tmp_path: Path) -> None:
    for plot in plots(tmp_path, trials):
        (ax, ay), (bx, by), (cx, cy) = (mark(plot, name) for name in "abc")
        assert ax < bx == cx
        assert ay < cy < by


def test_a_trial_over_budget_is_drawn_below_the_budget_line(tmp_path: Path) -> None:
    for plot in plots(tmp_path, trials):
        (budget,) = [float(node.attrib["y1"]) for node in plot.iter("line") if node.attrib["class"] == "budget"]
        assert mark(plot, "b")[1] < budget < mark(plot, "e")[1]


def test_a_trial_with_a_very_high_loss_does_not_compress_the_others(tmp_path: Path) -> None:
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


def test_without_losses_there_is_no_plot(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        for trial in facts["trials"]:
            trial["measurements"].pop("iou_drop", None)

    assert scatter.draw_scatter(records.read_run(rundir.write(tmp_path, change, pictures=False))) is None


# Any run


def trial(name: str, speed: float, loss: float, **changes: Any) -> TrialRecord:
    """Return a trial with that throughput and loss, and intervals of ± 10 %."""
    measurements = {
        "throughput": Figure(speed, speed * 0.9, speed * 1.1, "frames/s", 9),
        "iou_drop": Figure(loss, loss - abs(loss) / 10, loss + abs(loss) / 10, "points", 9),
    }
    fields = {"accepted": True, "broken": ()} | changes
    return TrialRecord(
        name=name, recipe="r", digest=None, notes=(), configuration={}, measurements=measurements, **fields
    )


def race(*entered: TrialRecord, **changes: Any) -> RunRecord:
    """Return a run with these trials, and the stored baselines and budget."""
    return structs.replace(rundir.read(), **({"trials": entered, "winner": None, "nearest": None} | changes))


def draw(run: RunRecord) -> list[ElementTree.Element]:
    """Return the wide plot and the narrow one."""
    return list(ElementTree.fromstring(f"<div>{scatter.draw_scatter(run)}</div>"))


LOSSES = st.one_of(st.floats(-100, 100), st.sampled_from([0.0, 1.1, 0.5]))
RACES = st.lists(st.tuples(st.floats(1e-3, 1e5), LOSSES), min_size=1, max_size=12)


@given(RACES)
def test_no_trial_of_the_front_is_beaten_and_every_other_is(figures: list[tuple[float, float]]) -> None:
    entered = [trial(str(number), *pair) for number, pair in enumerate(figures)]
    front = scatter.find_front(entered, "iou_drop")
    names = {item.name for item in front}
    for number, (speed, loss) in enumerate(figures):
        better = [
            other
            for other, (faster, lost) in enumerate(figures)
            if other != number
            and faster >= speed
            and lost <= loss
            and ((faster, lost) != (speed, loss) or other < number)
        ]
        assert (str(number) in names) == (not better)
    speeds = [item.measurements["throughput"].value for item in front]
    assert speeds == sorted(speeds)


@settings(max_examples=25, deadline=None)
@example([(1e-3, 0.0), (1e5, 2.0)], None)
@given(RACES, st.sampled_from([None, 0.0, 0.01, 1.1, 500.0]))
def test_everything_is_drawn_inside_the_axes(figures: list[tuple[float, float]], limit: float | None) -> None:
    entered = [trial(str(number), *pair, accepted=number % 2 == 0) for number, pair in enumerate(figures)]
    for plot in draw(race(*entered, budget={"max_iou_drop": limit}, winner="0")):
        width, height = float(plot.attrib["width"]), float(plot.attrib["height"])
        left, top, right, bottom = 52 - 0.1, 44 - 0.1, width - 14 + 0.1, height - 52 + 0.1
        for item in entered:
            x, y = mark(plot, item.name)
            assert left - 5 <= x <= right
            assert top - 4.1 <= y <= bottom
        for path in plot.iter("path"):
            if path.attrib["class"].startswith("whisker"):
                numbers = [float(number) for number in re.findall(r"-?[\d.]+", path.attrib["d"])]
                assert all(-4 <= number <= max(width, height) for number in numbers)
            if path.attrib["class"] == "front":
                for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.attrib["d"]):
                    assert left <= float(x) <= right
                    assert top <= float(y) <= bottom


@settings(max_examples=25, deadline=None)
@given(RACES)
def test_labels_cover_no_mark(figures: list[tuple[float, float]]) -> None:
    entered = [trial(f"trial {number}", *pair) for number, pair in enumerate(figures)]
    for plot in draw(race(*entered)):
        labels = [node for node in plot.iter("text") if node.attrib["class"].startswith("label")]
        for node in labels:
            if (node.text or "").startswith("budget"):
                continue
            width = CHARACTER_PX * len(node.text or "")
            x, bottom = float(node.attrib["x"]), float(node.attrib["y"]) + 4
            left = {"start": x, "middle": x - width / 2, "end": x - width}[node.attrib["text-anchor"]]
            for item in entered:
                across, down = mark_centre(plot, item.name)
                inside = left < across < left + width and bottom - LINE_PX < down < bottom
                assert not inside, (node.text, item.name)


def mark_centre(plot: ElementTree.Element, name: str) -> tuple[float, float]:
    """Return the centre of a mark from its outline."""
    for node in plot.iter():
        if (node.findtext("title") or "").startswith(f"{name}:"):
            x, y = mark(plot, name)
            shape = node.attrib["class"].split()[1]
            across, down = {"cross": (4, 4), "diamond": (0, 6), "down": (5, 4)}.get(shape, (0, 0))
            return x + across, y + down
    raise AssertionError(name)


# Roles and shapes


def roles(run: RunRecord) -> dict[str, str]:
    return {item.name: item.role for item in scatter.find_plotted(run)}


def test_a_trial_has_the_most_specific_of_its_roles() -> None:
    run = race(
        trial("winner", 50, 0.5),
        trial("front", 60, 0.9),
        trial("kept", 40, 0.8),
        trial("fast and broken", 70, 3, accepted=False),
        trial("winner, though broken", 80, 4, accepted=False),
        winner="winner",
        baselines={},
    )
    assert roles(run) == {
        "winner": "winner",
        "front": "front",
        "kept": "kept",
        "fast and broken": "broken",
        "winner, though broken": "broken",
    }


def test_only_trials_that_broke_a_limit_are_drawn_as_rejected() -> None:
    run = race(
        trial("late", 70, 0.5, accepted=False, state="not tried"),
        trial("died", 80, 0.6, accepted=False, state="failed"),
        trial("lost", 90, 3, accepted=False, state="rejected"),
        baselines={},
    )
    assert roles(run) == {"late": "open", "died": "open", "lost": "broken"}
    assert "without a verdict" in [words for role, words in run_page.ROLES if role == "open"]


def test_a_trial_without_speed_or_loss_is_not_plotted() -> None:
    half = trial("half", 1, 1)
    slow = structs.replace(half, name="slow", measurements={"iou_drop": half.measurements["iou_drop"]})
    unknown = structs.replace(half, name="unknown", measurements={"throughput": half.measurements["throughput"]})
    run = race(slow, unknown, fastest_baseline="b", baselines={"b": {"latency": Figure(1, 1, 1, "ms", 1)}})
    assert scatter.find_plotted(run) == []
    assert scatter.draw_scatter(run) is None


def test_baselines_alone_make_no_plot() -> None:
    assert roles(race())
    assert scatter.draw_scatter(race()) is None


def test_each_role_has_its_shape() -> None:
    plot = draw(race(trial("a", 50, 0.5), trial("b", 30, 2, accepted=False), winner="a"))[0]
    shapes = {
        node.findtext("title", "").partition(":")[0]: node.attrib["class"].split()[1]
        for node in plot.iter()
        if node.attrib.get("class", "").startswith("mark")
    }
    assert (shapes["a"], shapes["b"], shapes["OpenVINO, uncut"]) == ("dot", "cross", "diamond")


def test_the_legend_shows_the_same_shapes() -> None:
    for role, tag in (("baseline", "path"), ("broken", "path"), ("kept", "circle"), ("winner", "circle")):
        (node,) = ElementTree.fromstring(scatter.draw_swatch(role))
        assert node.tag == tag
        assert node.attrib["class"].endswith(role)


# Edges


def test_a_loss_above_three_budgets_is_an_arrow_at_the_edge_with_its_value() -> None:
    run = race(trial("good", 50, 0.5), trial("bad", 60, 9.0, accepted=False), budget={"max_iou_drop": 1.0})
    for plot in draw(run):
        (node,) = [node for node in plot.iter("path") if (node.findtext("title") or "").startswith("bad:")]
        assert node.attrib["class"] == "mark down broken"
        upright = [node for node in plot.iter("path") if node.attrib["class"] == "whisker broken"]
        assert not any(
            "V" in node.attrib["d"] for node in upright
        )  # its loss is outside, so it has no vertical whisker
    assert "bad (9.0)" in "".join(draw(run)[0].itertext())


def test_an_accepted_trial_is_never_clamped_to_the_edge() -> None:
    run = race(trial("good", 50, 0.5), trial("kept", 60, 9.0), budget={"max_iou_drop": 1.0})
    (node,) = [node for node in draw(run)[0].iter("circle") if (node.findtext("title") or "").startswith("kept:")]
    assert "dot" in node.attrib["class"]


def test_a_baseline_without_a_loss_is_a_labelled_hollow_mark_at_the_lower_edge() -> None:
    bare = {"bare": {"throughput": Figure(20, 18, 22, "frames/s", 9)}}
    run = race(trial("a", 50, 0.5), fastest_baseline="bare", baselines=bare)
    for plot in draw(run):
        (x, y) = mark(plot, "bare")
        lowest = max(float(node.attrib["y"]) for node in plot.iter("text") if node.attrib.get("text-anchor") == "end")
        assert y + 6 > lowest - 40
        assert "loss not measured" in "".join(plot.itertext())
        assert any("unmeasured" in node.attrib.get("class", "") for node in plot.iter("path"))
        drawn = [node.attrib["d"] for node in plot.iter("path") if node.attrib["class"] == "whisker baseline"]
        assert len(drawn) == 1
        assert "H" in drawn[0]
        title = next(node.findtext("title", "") for node in plot.iter("path") if node.find("title") is not None)
        assert "IoU lost not measured" in title
        assert x > 0


@pytest.mark.parametrize(("limit", "words"), [(None, None), (0.4, "budget: 0.4 points"), (25.0, "budget: 25 points")])
def test_the_budget_is_drawn_as_a_line_with_a_label_if_there_is_one(limit: float | None, words: str | None) -> None:
    run = race(trial("a", 50, 0.5), trial("b", 60, 0.1), budget={"max_iou_drop": limit}, baselines={})
    for plot in draw(run):
        lines = [node for node in plot.iter("line") if node.attrib["class"] == "budget"]
        labels = [node.text for node in plot.iter("text") if (node.text or "").startswith("budget")]
        assert (len(lines), labels) == ((0, []) if words is None else (1, [words]))


def test_speedup_ticks_are_aligned_with_their_throughputs() -> None:
    run = race(trial("a", 100, 0.5), fastest_baseline="b", baselines={"b": {"throughput": Figure(10, 10, 10, "f", 9)}})
    for plot in draw(run):
        texts = [node for node in plot.iter("text") if node.attrib["class"] == "tick"]
        speeds = {node.text: float(node.attrib["x"]) for node in texts if node.attrib["text-anchor"] == "middle"}
        assert speeds["1×"] == pytest.approx(speeds["10"], abs=0.1)
        assert speeds["10×"] == pytest.approx(speeds["100"], abs=0.1)
        (base,) = [node for node in plot.iter("line") if node.attrib["class"] == "base"]
        assert float(base.attrib["x1"]) == pytest.approx(speeds["1×"], abs=0.1)


def test_without_the_baselines_throughput_no_speedups_are_shown() -> None:
    for baselines in ({}, {"b": {}}, {"b": {"throughput": Figure(0, 0, 0, "f", 9)}}):
        run = race(trial("a", 100, 0.5), fastest_baseline="b", baselines=baselines)
        text = "".join(draw(run)[0].itertext())
        assert "×" not in text


def test_the_front_is_a_staircase_that_descends_to_the_right() -> None:
    run = race(trial("a", 10, 0.1), trial("b", 20, 0.4), trial("c", 40, 0.9), baselines={})
    (path,) = [node for node in draw(run)[0].iter("path") if node.attrib["class"] == "front"]
    points = [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path.attrib["d"])]
    assert len(points) == 6
    for (x1, y1), (x2, y2) in pairwise(points):
        assert (x1 == x2) != (y1 == y2) or (x1, y1) == (x2, y2)
        assert x2 >= x1
        assert y2 >= y1


def test_labels_are_shortened_and_rejected_trials_labelled_only_in_the_wide_plot() -> None:
    wide, narrow = draw(
        race(trial("w" * 60, 50, 0.5), trial("broken", 90, 2, accepted=False), winner="w" * 60, baselines={})
    )
    names = [
        {node.text for node in plot.iter("text") if node.attrib["class"].startswith("label")} for plot in (wide, narrow)
    ]
    assert "w" * 35 + "…" in names[0]
    assert "w" * 29 + "…" in names[1]
    assert "broken" in names[0]
    assert "broken" not in names[1]


def test_the_aria_label_states_the_number_of_trials_and_baselines() -> None:
    run = race(trial("a", 50, 0.5), trial("b", 60, 0.1), baselines={})
    label = draw(run)[0].attrib["aria-label"]
    assert label == "IoU lost against throughput of 2 trials and baselines; the table has the figures"


def test_the_winner_is_drawn_over_all_others() -> None:
    run = race(trial("winner", 50, 0.5), trial("b", 50, 0.5), trial("c", 50, 0.5), winner="winner")
    marks = list(draw(run)[0].iter("circle"))
    assert "winner" in marks[-1].attrib["class"]


def test_a_far_slower_trial_does_not_compress_the_others() -> None:
    wide, _ = draw(race(trial("slow", 1e-4, 0.1), trial("a", 50, 0.5), trial("b", 100, 0.9), baselines={}))
    assert mark(wide, "b")[0] - mark(wide, "a")[0] > 60
    assert mark(wide, "slow")[0] == pytest.approx(52, abs=0.1)  # at the edge
