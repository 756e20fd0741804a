"""The parts that both command lines share."""

import json
import os
from pathlib import Path

import pytest

from danmatte.contract.command_line import CommandLine, check_place, parse_size, write_json, write_text
from danmatte.frame import Size


def test_sizes_are_width_by_height() -> None:
    assert parse_size("320x180") == Size(height=180, width=320)


@pytest.mark.parametrize("text", ["", "big", "320", "320x", "0x180", "-320x180", "320x180x3", "320×180", "100000x1"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected WIDTHxHEIGHT such as 320x180, received"):
        parse_size(text)


def test_json_goes_to_a_file_in_folders_that_are_made(tmp_path: Path) -> None:
    target = tmp_path / "new/facts.json"
    write_json({"place": Path("a/b"), "masks": 3}, target)
    assert json.loads(target.read_text()) == {"place": "a/b", "masks": 3}
    assert [path.name for path in target.parent.iterdir()] == ["facts.json"]


def test_a_name_that_is_no_unicode_costs_nobody_a_page(tmp_path: Path) -> None:
    write_text(f"<p>弹幕 {os.fsdecode(b'caf' + bytes([0xE9]))}</p>", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "<p>弹幕 caf\\udce9</p>"


def test_json_goes_to_standard_output_where_a_dash_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json([1, 2], Path("-"))
    assert json.loads(capsys.readouterr().out) == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_file_stays_as_it_was_when_the_new_content_is_no_json(tmp_path: Path) -> None:
    target = tmp_path / "facts.json"
    target.write_text("before")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(float("nan"), target)
    assert target.read_text() == "before"


def test_a_command_keeps_its_own_options_apart(capsys: pytest.CaptureFixture[str]) -> None:
    line = CommandLine("program", "what it is for")
    line.add("run", "run it", "program run --fast").add_argument("--fast", action="store_true")
    line.add("stop", "stop it", "program stop")
    assert line.parse(["run", "--fast"]).fast
    with pytest.raises(SystemExit):
        line.parse(["stop", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_a_place_is_tried_and_nothing_is_left_there(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "a.json")
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]
    check_place(Path("-"))
    with pytest.raises(IsADirectoryError):
        check_place(tmp_path)
    with pytest.raises(NotADirectoryError):
        check_place(Path("/dev/null/a.json"))
