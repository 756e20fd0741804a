"""Nothing that isn't markup becomes markup."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from danmatte_workbench.report.markup import Markup, join, tag


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    made = tag("p", {"title": text}, text)
    read = ElementTree.fromstring(made)
    assert list(read) == []
    assert read.attrib.keys() == {"title"}


def test_markup_is_not_escaped_again() -> None:
    assert tag("p", None, tag("b", None, "a < b"), "&") == "<p><b>a &lt; b</b>&amp;</p>"


def test_attributes_are_closed_in_quotes() -> None:
    assert tag("p", {"title": '" onload="x'}) == '<p title="&quot; onload=&quot;x"></p>'
    assert tag("p", {"title": Markup('" onload="x')}) == '<p title="&quot; onload=&quot;x"></p>'


def test_what_is_none_is_left_out_and_true_stands_alone() -> None:
    assert tag("input", {"hidden": True, "id": None, "checked": False, "max": 2.50}) == '<input hidden max="2.5">'


def test_nothing_joins_to_nothing() -> None:
    assert join((None, "", Markup("a"), "<")) == "a&lt;"


@pytest.mark.parametrize("hidden", ["\x00", "\x1b", "\u202e", "\u200b", "\ud800"])
def test_what_cannot_be_seen_is_made_visible(hidden: str) -> None:
    assert tag("p", None, f"a{hidden}b") == "<p>a�b</p>"
