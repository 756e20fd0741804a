"""Scales go where they should, and names keep off each other."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
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


def test_ticks_are_round() -> None:
    assert Scale(-0.31, 1.2, 0, 1).find_ticks(6) == pytest.approx([0, 0.5, 1], abs=1e-9)
    assert Scale(15, 130, 0, 1, logarithmic=True).find_ticks(9) == pytest.approx([15, 20, 30, 40, 50, 60, 80, 100])


@given(st.floats(1e-3, 1e6), st.floats(1.05, 1e5), st.booleans())
def test_ticks_lie_within_the_scale_and_are_few(low: float, ratio: float, logarithmic: bool) -> None:
    scale = Scale(low, low * ratio, 0, 100, logarithmic)
    ticks = scale.find_ticks(6)
    assert all(-0.01 <= scale(tick) <= 100.01 for tick in ticks)
    assert len(ticks) <= 12


def boxes(drawn: str) -> list[Box]:
    """Where the names of a picture stand."""
    found = []
    for node in ElementTree.fromstring(f"<svg>{drawn}</svg>").iter("text"):
        width = CHARACTER_PX * len(node.text or "")
        x, bottom = float(node.attrib["x"]), float(node.attrib["y"]) + 4
        left = {"start": x, "middle": x - width / 2, "end": x - width}[node.attrib["text-anchor"]]
        found.append(Box(left + 0.1, bottom - LINE_PX + 0.1, left + width - 0.1, bottom - 0.1))
    return found


@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 400), st.integers(1, 30)), max_size=25))
def test_names_never_cover_each_other_or_a_mark_or_leave(spots: list[tuple[float, float, int]]) -> None:
    marks = [Box(x - 6, y - 6, x + 6, y + 6) for x, y, _ in spots]
    found = boxes(draw_labels([Label(x, y, "n" * length, "kept") for x, y, length in spots], marks, BOUNDS))
    for number, box in enumerate(found):
        assert not any(box.overlaps(other) for other in (*found[:number], *marks))
        assert box.lies_within(BOUNDS)


def test_a_lonely_name_is_always_written() -> None:
    for x, y in ((0, 0), (600, 400), (300, 200)):
        assert len(boxes(draw_labels([Label(x, y, "name", "kept")], [Box(x - 6, y - 6, x + 6, y + 6)], BOUNDS))) == 1


def test_the_first_label_gets_the_spot() -> None:
    room = Box(0, 0, 62, 16)
    drawn = draw_labels([Label(10, 8, "first", "kept"), Label(12, 8, "second", "kept")], [], room)
    assert "first" in drawn
    assert "second" not in drawn


def test_every_shape_is_drawn_with_its_title() -> None:
    for shape in ("dot", "ring", "cross", "diamond", "down"):
        node = ElementTree.fromstring(svg.draw_mark(5, 5, shape, name="kept", title="<tip>"))
        assert node.findtext("title") == "<tip>"


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    read = ElementTree.fromstring(make_element("text", {"title": text}, text))
    assert list(read) == []
    assert read.attrib.keys() == {"title"}


def test_markup_is_not_escaped_again() -> None:
    assert make_element("p", {}, make_element("b", {}, "a < b"), "&") == "<p><b>a &lt; b</b>&amp;</p>"


def test_attributes_are_closed_in_quotes() -> None:
    assert make_element("p", {"title": '" onload="x'}) == '<p title="&#34; onload=&#34;x"></p>'
    assert make_element("p", {"title": Markup('" onload="x')}) == '<p title="&#34; onload=&#34;x"></p>'


def test_an_attribute_that_is_none_is_left_out_and_numbers_are_short() -> None:
    assert make_element("line", {"id": None, "x": 2.50, "y": 3}) == '<line x="2.5" y="3"></line>'


def test_nothing_joins_to_nothing() -> None:
    assert join((None, "", Markup("a"), "<")) == "a&lt;"


@pytest.mark.parametrize("hidden", ["\x00", "\x1b", "\u202e", "\u200b", "\ud800"])
def test_what_cannot_be_seen_is_made_visible(hidden: str) -> None:
    assert make_element("p", {}, f"a{hidden}b") == "<p>a�b</p>"
