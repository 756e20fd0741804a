"""Texts of a run may be hostile: none can add an element, an attribute or a control character to a page."""

import copy
import io
import json
import re
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from rich.console import Console

from danmatte_workbench.report import comparison_table
from danmatte_workbench.report.comparison import compare_runs, render_comparison
from danmatte_workbench.report.masks import MaskComparison
from danmatte_workbench.report.records import RunRecord
from danmatte_workbench.report.run_page import render_run
from tests.workbench.report import places, reading, rundir

HOSTILE = (
    """'"></title></style></script><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}{% x %}\x1b[2J\u202e"""
)
PLAIN = "x" * len(HOSTILE)  # of equal length, because positions of labels depend on it
# Texts with a pattern or a choice; hostile ones are refused.
HELD = re.compile(r"^\$\.(schema|source\.meaning|winner|nearest|fastest_baseline|masks\[\d+\]\.files\.\w+)$")
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


@cache
def list_texts() -> list[places.Path]:
    """Return all positions of free texts: fields of records, and contents of free dictionaries."""
    facts, found = make_facts(), []
    for path, kind, content in places.walk(facts):
        if isinstance(kind, inspect.StrType) and isinstance(content, str):
            if not HELD.match(places.write(facts, path)):
                found.append(path)
        elif isinstance(kind, inspect.DictType) and isinstance(kind.value_type, inspect.AnyType):
            found += [(*path, key) for key, item in content.items() if isinstance(item, str)]
    return found


def list_keys() -> list[places.Path]:
    """Return all keys of free dictionaries."""
    return [
        (*path, key)
        for path, kind, content in places.walk(make_facts())
        if isinstance(kind, inspect.DictType)
        for key in content
        if path != ("budget",)
    ]


@cache
def make_facts() -> dict[str, Any]:
    """Return a run in which no text is empty, with few records of each kind, for speed."""
    facts = rundir.content()
    winner = next(trial for trial in facts["trials"] if trial["name"] == facts["winner"])
    facts["trials"] = [winner, facts["trials"][-1]]
    facts["layers"] = {side: facts["layers"][side][:3] for side in ("before", "after")}
    facts["sweep"] = facts["sweep"][:2]
    facts["isa"] = facts["isa"][:2]
    facts["sweep"][0]["note"] = facts["isa"][0]["note"] = "note"
    facts["published"] = "place"
    facts["trials"][0]["broken"] = facts["trials"][0]["notes"] = ["reason"]
    return facts


def change(paths: list[places.Path], keys: list[places.Path], text: str) -> RunRecord:
    """Return the run with the text at all these positions and keys; references to changed names are changed, too."""
    facts = copy.deepcopy(make_facts())
    names = {trial["name"]: trial for trial in facts["trials"]}
    winner = names[facts["winner"]]
    for number, path in enumerate(paths):
        places.put(facts, path, f"{text}{number}")
    for number, (*path, key) in enumerate(sorted(keys, key=len, reverse=True)):  # inner ones first
        place = places.get(facts, tuple(path))
        place[f"{text}{number}"] = place.pop(key)
        if path == ["baselines"] and key == facts["fastest_baseline"]:
            facts["fastest_baseline"] = f"{text}{number}"
    facts["winner"] = winner["name"]
    return msgspec.json.decode(json.dumps(facts).encode(), type=RunRecord)


def render(run: RunRecord, name: str) -> str:
    """Return the run's page with one frame of that name."""
    frame = MaskComparison(name, (4, 6), (4, 6), PIXEL, PIXEL, PIXEL, PIXEL, 0.5, 0.25, 0.125)
    return render_run(run, (frame,), b"{}")


def parse(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the elements with the names of their attributes, in order, without possible line breaks."""
    page = reading.Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return [(element.name, tuple(element.attributes)) for element in page.elements if element.name != "wbr"]


def check(text: str) -> None:
    """Check that no script was added, no template code was evaluated, and no invisible character is left."""
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]", text)
    assert "<script>alert" not in text
    assert "49{%" not in text


def test_hostile_texts_are_tried_in_every_field() -> None:
    tried = {re.sub(r"\[\d+\]", "[]", places.write(make_facts(), path)) for path in list_texts()}
    for place in (
        "$.command[]",
        "$.started",
        "$.source.name",
        "$.source.digest",
        "$.source.format",
        "$.objective",
        "$.effort",
        "$.data.origin",
        "$.published",
        "$.versions[...]",
        "$.host[...]",
        "$.trials[].name",
        "$.trials[].notes[]",
        "$.trials[].broken[]",
        "$.trials[].configuration[...]",
        "$.trials[].measurements[...].unit",
        "$.layers.before[].name",
        "$.layers.after[].kernel",
        "$.sweep[].who",
        "$.sweep[].note",
        "$.isa[].isa",
        "$.isa[].effective",
        "$.isa[].note",
    ):
        assert place in tried


def test_hostile_texts_everywhere_change_no_element_of_the_page() -> None:
    paths = list_texts()
    hostile = render(change(paths, [], HOSTILE), HOSTILE)
    check(hostile)
    assert parse(hostile) == parse(render(change(paths, [], PLAIN), PLAIN))


def test_hostile_keys_everywhere_change_no_element_of_the_page() -> None:
    keys = list_keys()
    hostile = render(change([], keys, HOSTILE), PLAIN)
    check(hostile)
    assert parse(hostile) == parse(render(change([], keys, PLAIN), PLAIN))


@settings(max_examples=20, deadline=None)
@given(st.data(), st.text(min_size=1, max_size=40))
def test_any_text_in_any_field_is_escaped(data: st.DataObject, text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    path = data.draw(st.sampled_from(list_texts()))
    found = render(change([path], [], text), text)
    check(found)
    plain = "x" * len(text)
    assert parse(found) == parse(render(change([path], [], plain), plain))


@pytest.mark.parametrize("side", ["a", "b", "both"])
def test_a_comparison_of_hostile_runs_has_only_the_usual_elements(side: str) -> None:
    paths, found = list_texts(), []
    for text in (HOSTILE, PLAIN):
        plain, other = change(paths, [], PLAIN), change(paths, [], text)
        a, b = {"a": (other, plain), "b": (plain, other), "both": (other, other)}[side]
        found.append(render_comparison(compare_runs(a, b)))
    check(found[0])
    if side == "both":
        assert parse(found[0]) == parse(found[1])
    allowed = {"html", "head", "meta", "link", "title", "style", "body", "script", "header", "main", "footer"}
    allowed |= {"section", "h1", "h2", "h3", "p", "a", "div", "ul", "li", "strong", "small", "span"}
    allowed |= {"table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in parse(found[0])} <= allowed
    assert not [names for _, names in parse(found[0]) if any(name.startswith("on") for name in names)]


def test_a_comparison_of_hostile_runs_prints_no_control_characters() -> None:
    paths = list_texts()
    found = compare_runs(change(paths, [], "[red]" + HOSTILE), change(paths, [], "[/]" + HOSTILE))
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    comparison_table.print_comparison(found, console)
    text = console.file.getvalue()
    assert not re.search("[\x00-\x08\x0b-\x1a\x1c-\x1f\u202e]|\x1b\\[2J", text)
    assert "[red]" in text
