"""The parts that both command lines share."""

import json
import os
from pathlib import Path

import pytest

from danmatte.contract.command_line import CommandLine, check_place, parse_size, write_json, write_text
from danmatte.frame import Size


def test_a_size_is_parsed_as_width_by_height() -> None:
    assert parse_size("320x180") == Size(height=180, width=320)


@pytest.mark.parametrize("text", ["", "big", "320", "320x", "0x180", "-320x180", "320x180x3", "320×180", "100000x1"])
def test_an_invalid_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="expected WIDTHxHEIGHT such as 320x180, received"):
        parse_size(text)


def test_json_is_written_to_a_file_whose_folders_are_created(tmp_path: Path) -> None:
    target = tmp_path / "new/facts.json"
    write_json({"place": Path("a/b"), "masks": 3}, target)
    assert json.loads(target.read_text()) == {"place": "a/b", "masks": 3}
    assert [path.name for path in target.parent.iterdir()] == ["facts.json"]


def test_a_file_name_that_is_not_unicode_is_escaped_in_a_page(tmp_path: Path) -> None:
    write_text(f"<p>弹幕 {os.fsdecode(b'caf' + bytes([0xE9]))}</p>", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "<p>弹幕 caf\\udce9</p>"


def test_json_is_written_to_standard_output_for_a_dash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_json([1, 2], Path("-"))
    assert json.loads(capsys.readouterr().out) == [1, 2]
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_unchanged_if_the_new_content_is_no_valid_json(tmp_path: Path) -> None:
    target = tmp_path / "facts.json"
    target.write_text("before")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(float("nan"), target)
    assert target.read_text() == "before"


def test_a_command_refuses_options_of_other_commands(capsys: pytest.CaptureFixture[str]) -> None:
    line = CommandLine("program", "what it is for")
    line.add("run", "run it", "program run --fast").add_argument("--fast", action="store_true")
    line.add("stop", "stop it", "program stop")
    assert line.parse(["run", "--fast"]).fast
    with pytest.raises(SystemExit):
        line.parse(["stop", "--fast"])
    assert "unrecognized arguments: --fast" in capsys.readouterr().err


def test_checking_an_output_path_creates_its_folder_but_no_file(tmp_path: Path) -> None:
    check_place(tmp_path / "new" / "a.json")
    assert [path.name for path in tmp_path.rglob("*")] == ["new"]
    check_place(Path("-"))
    with pytest.raises(IsADirectoryError):
        check_place(tmp_path)
    with pytest.raises(NotADirectoryError):
        check_place(Path("/dev/null/a.json"))
