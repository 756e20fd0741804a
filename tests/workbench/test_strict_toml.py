"""Strict TOML: exactly the known keys, and errors that say where."""

from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.strict_toml import expect_keys, read_toml

FILE = Path("folder/model.toml")


def test_a_table_with_every_key_is_accepted_in_any_order() -> None:
    expect_keys({"b": 1, "a": 2}, {"a", "b"}, FILE, "the top")


@pytest.mark.parametrize("table", [{"a": 1}, {"a": 1, "c": 3}])
def test_an_optional_key_may_be_present_or_absent(table: dict[str, int]) -> None:
    expect_keys(table, {"a"}, FILE, "the top", optional={"c"})


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"height": 1, "witdh": 2}, "folder/model.toml: unknown key witdh in [input]; did you mean 'width'?"),
        ({"height": 1, "zzz": 2}, "folder/model.toml: unknown key zzz in [input]; known: height, note, width"),
        ({"height": 1}, "folder/model.toml: [input] lacks width"),
        ({}, "folder/model.toml: [input] lacks height"),
        ({"height": 1, "width": 2, "nte": 3}, "folder/model.toml: unknown key nte in [input]; did you mean 'note'?"),
    ],
)
def test_an_invalid_table_is_reported_with_file_place_and_key(table: dict[str, int], says: str) -> None:
    with pytest.raises(InputError) as refused:
        expect_keys(table, {"height", "width"}, FILE, "[input]", optional={"note"})
    assert str(refused.value) == says


def test_text_in_utf8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('about = "façade × 2"\n[step]\nkind = "cut"\n', encoding="utf-8")
    assert read_toml(path) == {"about": "façade × 2", "step": {"kind": "cut"}}


@pytest.mark.parametrize("content", [b"a = \n", b"a = 1\na = 2\n", b"\xff\xfe", b"[a\n"])
def test_a_file_that_is_not_toml_is_refused_with_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.toml: isn't TOML: "):
        read_toml(path)


def test_a_folder_instead_of_a_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        read_toml(tmp_path)
