"""Common parts of all pages: sanitized values, and atomic writing."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
from markupsafe import Markup

from danmatte_workbench.errors import MachineError
from danmatte_workbench.report import page, words
from danmatte_workbench.report.page import render_page, write_page


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that renders a text as a template, in the environment of pages."""
    environment = page._make_environment()

    def render(text: str, **content: Any) -> str:
        return environment.from_string(text).render(**content)

    return render


# Values


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, ""),
        (2.5, "2.5"),
        (2.0, "2"),
        (1 / 3, "0.33"),
        (100, "100"),
        (True, "True"),
        ("a", "a"),
        ("<b>", "&lt;b&gt;"),
        ("\x1b[2J\u202e", "�[2J�"),
        (Markup("<b>a</b>"), "<b>a</b>"),
    ],
)
def test_a_value_is_shortened_and_escaped(template: Any, value: Any, written: str) -> None:
    assert template("{{ value }}", value=value) == written


def test_quotes_in_an_attribute_are_escaped(template: Any) -> None:
    assert template('<p title="{{ value }}">', value='" onload="x') == '<p title="&#34; onload=&#34;x">'


def test_an_undefined_name_in_a_template_is_an_error(template: Any) -> None:
    with pytest.raises(jinja2.UndefinedError, match="'missing' is undefined"):
        template("{{ missing }}")


def test_every_formatting_function_is_a_template_filter(template: Any) -> None:
    writers = [name for name in vars(words) if name.startswith(("format_", "get_"))]
    assert {"format_number", "format_figure", "get_term"} <= set(writers)
    for name in writers:
        assert page._make_environment().filters[name] is getattr(words, name)


# The base page


def shell(**content: Any) -> str:
    """Return the base page without content."""
    return render_page("base.html", **content)


def test_the_content_security_policy_allows_only_the_pages_style_and_script() -> None:
    text = shell()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1].replace("&#39;", "'")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("img-src") == "data:"
    for name in ("style", "script"):
        content = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules.pop(f"{name}-src") == f"'sha256-{digest}'"
    assert rules == dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")


def test_neither_style_nor_script_ends_its_own_element() -> None:
    """Unescaped parts of the page must not contain the end of their element, or the start of a comment."""
    for name in ("page.css", "page.js"):
        content = (page.HERE / name).read_text("utf-8").lower()
        assert not any(word in content for word in ("</style", "</script", "<!--", "<script"))


def test_the_script_makes_no_requests_and_evaluates_no_text() -> None:
    content = (page.HERE / "page.js").read_text("utf-8")
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import)\b\s*\(?", content)
    assert not re.search(r"\b(eval|innerHTML|outerHTML|insertAdjacentHTML|document\.write)\b", content)


def test_the_character_set_is_declared_before_any_text() -> None:
    text = shell()
    assert 0 < text.index('<meta charset="utf-8">') < text.index("<title>") < 1024


# Writing


def test_a_page_is_written_as_utf_8_with_plain_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_page("ä\n×\n", path) == path
    assert path.read_bytes() == "ä\n×\n".encode()


def test_a_page_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("something that was much longer")
    write_page("new", path)
    assert path.read_text("utf-8") == "new"
    assert [found.name for found in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_on_a_full_disk_the_older_page_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    (tmp_path / ".page.html.part").symlink_to("/dev/full")
    with pytest.raises(MachineError, match=r"page\.html: can't be written \(No space left on device\)"):
        write_page("new" * 100_000, path)
    assert path.read_text("utf-8") == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["page.html"]


def test_a_page_that_cannot_be_written_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(MachineError, match=r"page\.html: can't be written \(Is a directory\)"):
        write_page("new", path)
    assert [found.name for found in tmp_path.iterdir()] == ["page.html"]
    assert (path / "inside").is_dir()


def test_a_missing_folder_is_reported_as_a_machine_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"page\.html: can't be written \(No such file or directory\)"):
        write_page("new", tmp_path / "none/page.html")
