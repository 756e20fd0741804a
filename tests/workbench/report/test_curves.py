"""Curves of a sweep: the best point at each position, drawn in the right place."""

import re
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danmatte_workbench.report import curves
from danmatte_workbench.report.records import Figure, RunRecord, SweepRecord
from tests.workbench.report import rundir

BATCH, THREADS = curves.AXES


def figure(value: float, unit: str = "frames/s") -> Figure:
    return Figure(value, value * 0.9, value * 1.1, unit, 9)


def point(
    who: str = "winner", *, batch: int = 1, threads: int = 1, speed: float | None = 10.0, **more: Any
) -> SweepRecord:
    """Return a point whose latency follows from its throughput."""
    latency = None if speed is None else figure(1000 * batch / max(speed, 1e-9), "ms")
    fields = {"streams": 1, "requests": 1, "pinning": None, "agreed": True} | more
    throughput = None if speed is None else figure(speed)
    return SweepRecord(who=who, batch=batch, threads=threads, throughput=throughput, latency=latency, **fields)


def run(*points: SweepRecord) -> RunRecord:
    """Return a run with that sweep."""
    return msgspec.structs.replace(rundir.read(), sweep=points)


def plots(*points: SweepRecord) -> list[ElementTree.Element]:
    """Return all charts of the sweep, the wide one of each panel before the narrow one."""
    return [plot for panel in curves.draw_panels(run(*points)) for plot in ElementTree.fromstring(f"<p>{panel}</p>")]


def marks(plot: ElementTree.Element) -> dict[str, tuple[float, float]]:
    """Return positions of the marks by the beginning of their titles."""
    return {
        node.findtext("title", ""): (float(node.attrib["cx"]), float(node.attrib["cy"])) for node in plot.iter("circle")
    }


# What is drawn


def test_a_curve_takes_the_best_throughput_or_latency_at_each_position() -> None:
    points = [point(batch=1, threads=1, speed=10), point(batch=1, threads=2, speed=30), point(batch=4, speed=20)]
    fast = curves.find_best(points, "winner", 0, "throughput", BATCH)
    assert [(place, found.threads, value.value) for place, found, value in fast.points] == [(1, 2, 30), (4, 1, 20)]
    quick = curves.find_best(points, "winner", 0, "latency", BATCH)
    assert [(place, round(value.value, 1)) for place, _, value in quick.points] == [(1, 33.3), (4, 200)]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.floats(1, 100)), max_size=20))
def test_no_point_beats_the_drawn_one_at_its_position(swept: list[tuple[int, int, float]]) -> None:
    points = [point(batch=batch, threads=threads, speed=speed) for batch, threads, speed in swept]
    for axis in curves.AXES:
        curve = curves.find_best(points, "winner", 0, "throughput", axis)
        places = [place for place, *_ in curve.points]
        assert places == sorted(set(places))
        assert set(places) == {axis.place(item) for item in points} - {0}
        for place, _, best in curve.points:
            assert best.value == max(item.throughput.value for item in points if axis.place(item) == place)


def test_the_first_of_equal_points_is_kept() -> None:
    points = [point(batch=1, requests=1), point(batch=1, requests=9)]
    ((_, kept, _),) = curves.find_best(points, "winner", 0, "throughput", BATCH).points
    assert kept.requests == 1


def test_points_of_other_graphs_or_without_figures_or_positions_are_left_out() -> None:
    points = [point("uncut"), point(speed=None), point(threads=0)]
    assert curves.find_best(points, "winner", 0, "throughput", THREADS).points == ()


def test_graphs_keep_the_order_of_the_run() -> None:
    assert curves.list_swept(run(point("b"), point("a"), point("b"))) == ["b", "a"]


def test_colours_repeat_after_six() -> None:
    series = [curves.find_best([], "winner", rank, "throughput", BATCH).series for rank in range(8)]
    assert series == ["s0", "s1", "s2", "s3", "s4", "s5", "s0", "s1"]


# Panels


def test_a_panel_needs_two_positions_on_its_axis() -> None:
    assert plots(point(batch=1), point(batch=1, requests=4)) == []
    titles = [plot.attrib["aria-label"].partition(";")[0] for plot in plots(point(batch=1), point(batch=2))]
    assert titles == ["Frames a second by batch"] * 2 + ["Milliseconds a request by batch"] * 2


def test_two_graphs_with_one_position_each_share_a_panel() -> None:
    assert len(plots(point("a", batch=1), point("b", batch=8))) == 4


def test_without_a_sweep_there_are_no_panels() -> None:
    assert curves.draw_panels(run()) == []


def test_every_panel_is_drawn_wide_and_narrow() -> None:
    sizes = [(plot.attrib["class"], plot.attrib["width"]) for plot in plots(point(batch=1), point(batch=2))]
    assert sizes[:2] == [("plot wide", "520"), ("plot narrow", "356")]


# Positions


def test_larger_values_are_drawn_higher_and_larger_positions_further_right() -> None:
    for plot in plots(point(batch=1, speed=10), point(batch=4, speed=40), point(batch=16, speed=20))[:2]:
        (x1, y1), (x2, y2), (x3, y3) = marks(plot).values()
        assert x1 < x2 < x3
        assert x2 - x1 == pytest.approx(x3 - x2, abs=0.05)  # equal ratios, equal room
        assert y2 < y3 < y1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 64), st.floats(0, 1e6)), min_size=2, max_size=8))
def test_marks_and_lines_stay_inside_the_chart(swept: list[tuple[int, float]]) -> None:
    for plot in plots(*(point(batch=batch, speed=speed) for batch, speed in swept)):
        width, height = float(plot.attrib["width"]), float(plot.attrib["height"])
        for x, y in marks(plot).values():
            assert 50 <= x <= width - 14
            assert 29.9 <= y <= height - 47.9
        for path in plot.iter("path"):
            if path.attrib["class"].startswith("curve"):
                for x, y in re.findall(r"([\d.]+) ([\d.]+)", path.attrib["d"]):
                    assert 0 <= float(x) <= width
                    assert 0 <= float(y) <= height


def test_numbers_on_the_axis_do_not_overlap() -> None:
    for plot in plots(*(point(batch=batch) for batch in (1, *range(60, 66)))):
        numbers = [
            float(node.attrib["x"])
            for node in plot.iter("text")
            if node.attrib["class"] == "tick" and node.attrib["text-anchor"] == "middle"
        ]
        assert len(numbers) >= 2
        assert all(after - before > curves.NUMBER_PX for before, after in pairwise(numbers))


def test_zero_throughput_is_drawn_as_a_flat_line() -> None:
    for plot in plots(point(batch=1, speed=0.0), point(batch=2, speed=0.0))[:2]:
        assert len({y for _, y in marks(plot).values()}) == 1


# Texts


def test_the_title_of_a_mark_has_its_figure_and_setting() -> None:
    titles = list(marks(plots(point(batch=1), point(batch=4, threads=2, speed=20, pinning=False))[0]))
    assert titles[1] == "winner: 20.0 frames/s [18.0 … 22.0], batch 4 · streams 1 · threads 2 · requests 1 · no pinning"


def test_a_point_whose_windows_disagreed_is_drawn_as_a_ring_with_a_note() -> None:
    plot = plots(point(batch=1), point(batch=2, agreed=False))[0]
    shapes = [node.attrib["class"].split()[1] for node in plot.iter("circle")]
    assert shapes == ["dot", "ring"]
    titles = list(marks(plot))
    assert titles[1].endswith(" · windows did not agree")
    assert "agree" not in titles[0]


@pytest.mark.parametrize(("place", "letters"), [(0, 34), (1, 26)])
def test_a_long_name_is_cut_to_the_charts_width(place: int, letters: int) -> None:
    name = "n" * 60
    plot = plots(point(name, batch=1, speed=1), point(name, batch=2, speed=99))[place]
    (label,) = [node.text for node in plot.iter("text") if node.attrib["class"].startswith("label")]
    assert label == "n" * (letters - 1) + "…"


def test_a_curve_is_named_at_its_right_end() -> None:
    plot = plots(point("a", batch=1), point("a", batch=9), point("b", batch=1, speed=99))[0]
    labels = {node.text: float(node.attrib["x"]) for node in plot.iter("text") if "label" in node.attrib["class"]}
    assert labels.keys() == {"a", "b"}
    assert labels["b"] < labels["a"]


def test_a_single_point_has_no_line() -> None:
    plot = plots(point("a", batch=1), point("a", batch=2), point("b", batch=1))[0]
    lines = [node.attrib["class"] for node in plot.iter("path") if node.attrib["class"].startswith("curve")]
    assert lines == ["curve s0"]
