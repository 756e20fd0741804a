"""Atomic writes of files, under any name that file systems accept."""

import os
from pathlib import Path

import pytest

from danmatte.contract.whole_files import cut_name, name_unfinished, write_whole

LONG = ["a" * 255, "弹幕" * 42 + "abc", "é" * 127, os.fsdecode(b"caf\xe9" + b"x" * 251)]


@pytest.mark.parametrize("name", ["a", "page.html", "a" * 249, *LONG])
def test_a_file_of_any_valid_name_can_be_written(name: str, tmp_path: Path) -> None:
    for data in (b"old, and longer", b"new"):
        write_whole(tmp_path / name, data)
        assert (tmp_path / name).read_bytes() == data
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", LONG)
def test_unfinished_files_of_long_names_have_distinct_names(name: str, tmp_path: Path) -> None:
    other = tmp_path / f"{name[:-1]}z"
    places = {name_unfinished(path, ending) for path in (tmp_path / name, other) for ending in (".part", ".whole")}
    assert len(places) == 4
    for place in places:
        assert place.name.startswith(f".{name[:3]}")
        place.touch()


def test_short_names_are_not_cut(tmp_path: Path) -> None:
    assert name_unfinished(tmp_path / "film.mattes", ".part") == tmp_path / ".film.mattes.part"
    assert cut_name("film", ".mattes") == "film.mattes"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_keeps_the_old_file_and_leaves_no_unfinished_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    name_unfinished(path, ".part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"new" * 100_000)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_with_the_name_of_the_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "page.html/inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "page.html", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
