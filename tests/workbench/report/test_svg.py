"""Scales map values to pixels, and labels don't overlap."""

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from danmatte_workbench.report import svg
from danmatte_workbench.report.svg import CHARACTER_PX, LINE_PX, Box, Label, Scale, draw_labels, join, make_element

BOUNDS = Box(0, 0, 600, 400)


def test_a_scale_maps_its_ends_and_middle() -> None:
    scale = Scale(10, 20, 100, 200)
    assert [scale(value) for value in (10, 15, 20, 25)] == [100, 150, 200, 250]
    assert (scale.clamp(5), scale.clamp(25)) == (100, 200)


def test_a_logarithmic_scale_gives_equal_room_to_equal_ratios() -> None:
    scale = Scale(1, 100, 0, 200, logarithmic=True)
    assert [round(scale(value), 6) for value in (1, 10, 100)] == [0, 100, 200]


@pytest.mark.parametrize(("low", "high", "logarithmic"), [(1, 1, False), (2, 1, False), (0, 1, True)])
def test_an_empty_scale_is_refused(low: float, high: float, logarithmic: bool) -> None:
    with pytest.raises(ValueError, match="expected low < high"):
        Scale(low, high, 0, 1, logarithmic)


def test_ticks_are_round_numbers() -> None:
    assert Scale(-0.31, 1.2, 0, 1).find_ticks(6) == pytest.approx([0, 0.5, 1], abs=1e-9)
    assert Scale(15, 130, 0, 1, logarithmic=True).find_ticks(9) == pytest.approx([15, 20, 30, 40, 50, 60, 80, 100])


@given(st.floats(1e-3, 1e6), st.floats(1.05, 1e5), st.booleans())
def test_ticks_lie_within_the_scale_and_are_at_most_twelve(low: float, ratio: float, logarithmic: bool) -> None:
    scale = Scale(low, low * ratio, 0, 100, logarithmic)
    ticks = scale.find_ticks(6)
    assert all(-0.01 <= scale(tick) <= 100.01 for tick in ticks)
    assert len(ticks) <= 12


def boxes(drawn: str) -> list[Box]:
    """Return the boxes of a picture's labels."""
    found = []
    for node in ElementTree.fromstring(f"<svg>{drawn}</svg>").iter("text"):
        width = CHARACTER_PX * len(node.text or "")
        x, bottom = float(node.attrib["x"]), float(node.attrib["y"]) + 4
        left = {"start": x, "middle": x - width / 2, "end": x - width}[node.attrib["text-anchor"]]
        found.append(Box(left + 0.1, bottom - LINE_PX + 0.1, left + width - 0.1, bottom - 0.1))
    return found


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400), st.integers(1, 30)), max_size=25))
def test_labels_never_overlap_each_other_or_a_mark_or_leave_the_bounds(spots: list[tuple[float, float, int]]) -> None:
    marks = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _ in spots]
    found = boxes(draw_labels([Label(x, y, "n" * length, "kept") for x, y, length in spots], marks, BOUNDS))
    for number, box in enumerate(found):
        assert not any(box.overlaps(other) for other in (*found[:number], *marks))
        assert box.lies_within(BOUNDS)


def test_a_single_label_is_always_drawn() -> None:
    for x, y in ((0, 0), (600, 400), (300, 200)):
        assert len(boxes(draw_labels([Label(x, y, "name", "kept")], [Box(x - 6, y - 6, x + 6, y + 6)], BOUNDS))) == 1


def test_the_first_of_two_labels_takes_the_only_free_place() -> None:
    room = Box(0, 0, 62, 16)
    drawn = draw_labels([Label(10, 8, "first", "kept"), Label(12, 8, "second", "kept")], [], room)
    assert "first" in drawn
    assert "second" not in drawn


def test_every_shape_is_drawn_with_its_title() -> None:
    for shape in ("dot", "ring", "cross", "diamond", "down"):
        node = ElementTree.fromstring(svg.draw_mark(5, 5, shape, name="kept", title="<tip>"))
        assert node.findtext("title") == "<tip>"


@given(st.text())
def test_any_text_is_escaped(text: str) -> None:
    read = ElementTree.fromstring(make_element("text", {"title": text}, text))
    assert list(read) == []
    assert read.attrib.keys() == {"title"}


def test_markup_is_not_escaped_again() -> None:
    assert make_element("p", {}, make_element("b", {}, "a < b"), "&") == "<p><b>a &lt; b</b>&amp;</p>"


def test_attributes_are_quoted_and_escaped() -> None:
    assert make_element("p", {"title": '" onload="x'}) == '<p title="&#34; onload=&#34;x"></p>'
    assert make_element("p", {"title": Markup('" onload="x')}) == '<p title="&#34; onload=&#34;x"></p>'


def test_an_attribute_that_is_none_is_left_out_and_numbers_are_short() -> None:
    assert make_element("line", {"id": None, "x": 2.50, "y": 3}) == '<line x="2.5" y="3"></line>'


def test_joining_skips_empty_parts_and_escapes_text() -> None:
    assert join((None, "", Markup("a"), "<")) == "a&lt;"


@pytest.mark.parametrize("hidden", ["\x00", "\x1b", "\u202e", "\u200b", "\ud800"])
def test_invisible_characters_are_replaced_by_a_visible_one(hidden: str) -> None:
    assert make_element("p", {}, f"a{hidden}b") == "<p>a�b</p>"


# Scales


@st.composite
def scales(draw: st.DrawFn) -> Scale:
    """Scales of all kinds, ascending and descending."""
    logarithmic = draw(st.booleans())
    low = draw(st.floats(1e-6, 1e6)) if logarithmic else draw(st.floats(-1e6, 1e6))
    high = low * draw(st.floats(1.01, 1e6)) if logarithmic else low + draw(st.floats(1e-3, 1e6))
    start, end = draw(st.sampled_from([(0, 100), (52, 1026), (400, 30)]))
    return Scale(low, high, start, end, logarithmic)


@given(scales(), st.floats(0, 1), st.floats(0, 1))
def test_a_scale_keeps_the_order_of_values(scale: Scale, one: float, other: float) -> None:
    values = [scale.low + share * (scale.high - scale.low) for share in sorted((one, other))]
    first, second = (scale(value) for value in values)
    assert first <= second + 1e-9 if scale.start < scale.end else first >= second - 1e-9


@given(scales(), st.floats(-1e9, 1e9))
def test_clamping_limits_values_to_the_ends_and_keeps_those_between_them(scale: Scale, value: float) -> None:
    pixel = scale.clamp(value)
    assert min(scale.start, scale.end) - 1e-6 <= pixel <= max(scale.start, scale.end) + 1e-6
    if scale.low <= value <= scale.high:
        assert pixel == scale(value)


@given(scales())
def test_a_scale_maps_its_ends_to_the_given_pixels(scale: Scale) -> None:
    assert scale(scale.low) == pytest.approx(scale.start, abs=1e-6)
    assert scale(scale.high) == pytest.approx(scale.end, abs=1e-6)


@pytest.mark.parametrize("value", [0, -5])
def test_a_logarithmic_scale_maps_0_and_negatives_far_outside_and_clamps_them(value: float) -> None:
    scale = Scale(1, 100, 0, 200, logarithmic=True)
    assert scale(value) == pytest.approx(-600)
    assert scale.clamp(value) == 0


@pytest.mark.parametrize(
    ("ends", "count", "ticks"),
    [
        ((0, 10), 5, [0, 2, 4, 6, 8, 10]),
        ((0, 1), 4, [0, 0.25, 0.5, 0.75, 1]),
        ((0, 100), 5, [0, 20, 40, 60, 80, 100]),
        ((0, 97), 2, [0, 50]),
        ((3, 9), 3, [4, 6, 8]),
        ((-1, 1), 4, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_multiples_of_round_steps(ends: tuple[float, float], count: int, ticks: list[float]) -> None:
    assert Scale(*ends, 0, 1).find_ticks(count) == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("ends", "count", "ticks"),
    [
        ((1, 1000), 4, [1, 10, 100, 1000]),
        ((1, 100), 5, [1, 3, 10, 30, 100]),
        ((1, 10), 4, [1, 2, 5, 10]),
        ((0.9, 9), 6, [1, 2, 3, 5, 7]),
        ((1, 1e6), 2, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]),
    ],
)
def test_logarithmic_ticks_are_as_dense_as_their_count_allows(
    ends: tuple[float, float], count: int, ticks: list[float]
) -> None:
    assert Scale(*ends, 0, 1, logarithmic=True).find_ticks(count) == pytest.approx(ticks)


# Boxes and lines


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_boxes_overlap_only_if_they_share_a_pixel(ends: list[int]) -> None:
    boxes = []
    for x1, x2, y1, y2 in (ends[:4], ends[4:]):
        boxes.append(Box(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)))
    cells = [
        {(x, y) for x in range(int(box.left), int(box.right)) for y in range(int(box.top), int(box.bottom))}
        for box in boxes
    ]
    one, other = boxes
    if all(cells):
        assert one.overlaps(other) == other.overlaps(one) == bool(cells[0] & cells[1])
        assert one.lies_within(other) == (cells[0] <= cells[1])


@given(st.tuples(st.floats(0, 100), st.floats(0, 100)), st.tuples(st.floats(0, 100), st.floats(0, 100)))
def test_a_traced_line_covers_both_ends_and_nothing_far_from_it(
    start: tuple[float, float], end: tuple[float, float]
) -> None:
    boxes = svg.trace_line(start, end, pieces=8)
    assert len(boxes) == 9
    for (x, y), box in ((start, boxes[0]), (end, boxes[-1])):
        assert box.left < x < box.right
        assert box.top < y < box.bottom
    length = math.dist(start, end)
    for box in boxes:
        centre = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
        assert math.dist(start, centre) + math.dist(centre, end) == pytest.approx(length, abs=1e-6)


# Axes


def read(drawn: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<svg>{drawn}</svg>")


def test_a_bottom_axis_has_a_number_under_each_grid_line() -> None:
    scale = Scale(0, 10, 50, 250)
    drawn = read(svg.draw_bottom_axis(scale, 300, "frames", ticks=[0, 5, 10], top=20))
    lines, (*numbers, title) = list(drawn.iter("line")), list(drawn.iter("text"))
    assert [line.attrib["x1"] for line in lines] == ["50", "150", "250"]
    assert {(line.attrib["y1"], line.attrib["y2"]) for line in lines} == {("20", "300")}
    assert [(node.attrib["x"], node.text) for node in numbers] == [("50", "0"), ("150", "5"), ("250", "10")]
    assert all(float(node.attrib["y"]) > 300 and node.attrib["text-anchor"] == "middle" for node in numbers)
    assert (title.text, title.attrib["x"]) == ("frames", "150")


def test_a_left_axis_has_a_number_left_of_each_grid_line() -> None:
    scale = Scale(0, 10, 300, 100)
    drawn = read(svg.draw_left_axis(scale, 50, ticks=[0, 10], right=400))
    assert [(node.attrib["y1"], node.attrib["x1"], node.attrib["x2"]) for node in drawn.iter("line")] == [
        ("300", "50", "400"),
        ("100", "50", "400"),
    ]
    numbers = list(drawn.iter("text"))
    assert [node.text for node in numbers] == ["0", "10"]
    assert all(float(node.attrib["x"]) < 50 and node.attrib["text-anchor"] == "end" for node in numbers)


@pytest.mark.parametrize("way", ["vertical", "horizontal"])
def test_a_whisker_reaches_from_end_to_end_with_a_cap_on_each(way: str) -> None:
    draw = svg.draw_vertical_whisker if way == "vertical" else svg.draw_horizontal_whisker
    (path,) = read(draw(100, 20, 80, "kept")).iter("path")
    assert path.attrib["class"] == "whisker kept"
    expected = "M97.0 20.0 h6 M97.0 80.0 h6 M100.0 20.0 V80.0"
    if way == "horizontal":
        expected = "M20.0 97.0 v6 M80.0 97.0 v6 M20.0 100.0 H80.0"
    assert path.attrib["d"] == expected


def test_a_chart_has_a_size_a_name_and_a_text_alternative() -> None:
    node = ElementTree.fromstring(svg.draw_chart(300, 200, label="a < b", name="wide", parts=["<p>", None]))
    assert node.attrib == {
        "class": "plot wide",
        "viewBox": "0 0 300 200",
        "width": "300",
        "height": "200",
        "role": "img",
        "aria-label": "a < b",
    }
    assert node.text == "<p>"


def test_a_path_goes_from_point_to_point() -> None:
    (path,) = read(svg.draw_path([(0, 1.26), (10, 20)], "curve")).iter("path")
    assert (path.attrib["d"], path.attrib["class"]) == ("M0.0 1.3 L10.0 20.0", "curve")


def test_the_winners_mark_is_the_largest() -> None:
    sizes = {
        name: float(ElementTree.fromstring(svg.draw_mark(5, 5, "dot", name=name)).attrib["r"])
        for name in ("winner", "kept", "broken")
    }
    assert sizes["winner"] > sizes["kept"] == sizes["broken"]


def test_a_mark_without_a_title_has_none() -> None:
    assert ElementTree.fromstring(svg.draw_mark(5, 5, "cross", name="kept")).find("title") is None


# Labels


def test_a_label_stands_right_of_its_mark_if_it_can() -> None:
    (box,) = boxes(draw_labels([Label(100, 100, "name", "kept")], [], BOUNDS))
    assert 100 < box.left < 115
    assert box.top < 100 < box.bottom


def test_a_label_at_the_right_edge_stands_left_of_its_mark() -> None:
    (box,) = boxes(draw_labels([Label(598, 100, "name", "kept")], [], BOUNDS))
    assert box.right < 598


def test_a_label_far_from_its_mark_is_connected_to_it_by_a_line() -> None:
    crowd = Box(75, 75, 125, 125)
    drawn = read(draw_labels([Label(100, 100, "n", "kept")], [crowd], BOUNDS))
    (tie,) = drawn.iter("line")
    assert (tie.attrib["class"], tie.attrib["x1"], tie.attrib["y1"]) == ("tie", "100", "100")
    (box,) = boxes(draw_labels([Label(100, 100, "n", "kept")], [crowd], BOUNDS))
    end = float(tie.attrib["x2"]), float(tie.attrib["y2"])
    assert box.left - 1 <= end[0] <= box.right + 1
    assert box.top - 1 <= end[1] <= box.bottom + 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(250, 350), st.floats(150, 250)), min_size=2, max_size=12))
def test_no_label_lies_on_the_connecting_line_of_an_earlier_one(spots: list[tuple[float, float]]) -> None:
    marks = [Box(x - 20, y - 20, x + 20, y + 20) for x, y in spots]
    drawn = read(draw_labels([Label(x, y, "name", "kept") for x, y in spots], marks, BOUNDS))
    ties: list[Box] = []
    own: list[Box] = []
    for node in drawn:
        if node.tag == "line":
            x1, y1, x2, y2 = (float(node.attrib[name]) for name in ("x1", "y1", "x2", "y2"))
            own = svg.trace_line((x1, y1), (x2, y2), pieces=8)
        else:
            (box,) = boxes(ElementTree.tostring(node, encoding="unicode"))
            assert not any(box.overlaps(piece) for piece in ties)
            ties, own = ties + own, []


def test_a_label_without_any_room_is_left_out() -> None:
    assert draw_labels([Label(100, 100, "name", "kept")], [BOUNDS], BOUNDS) == ""
