"""A stored training is resumed only with the same options."""

from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.training.origin import FILE, check_origin, describe_file

OPTIONS = {"--seed": "1", "--initial": "the file of sha256 aa"}


def test_the_same_options_go_on(tmp_path: Path) -> None:
    check_origin(tmp_path / "new", "deeplab", OPTIONS)
    check_origin(tmp_path / "new", "deeplab", OPTIONS)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]


@pytest.mark.parametrize("flag", OPTIONS)
def test_other_options_are_refused_with_what_is_kept(tmp_path: Path, flag: str) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    with pytest.raises(InputError, match=rf"another {flag}: expected {OPTIONS[flag]}, received 7; give another"):
        check_origin(tmp_path, "deeplab", {**OPTIONS, flag: "7"})
    check_origin(tmp_path, "deeplab", OPTIONS)


def test_a_student_may_follow_the_whole_network_and_then_only_that_one(tmp_path: Path) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    check_origin(tmp_path, "deeplab", {**OPTIONS, "--student": "0.35"})
    check_origin(tmp_path, "deeplab", OPTIONS)
    with pytest.raises(InputError, match=r"another --student: expected 0\.35, received 0\.5"):
        check_origin(tmp_path, "deeplab", {**OPTIONS, "--student": "0.5"})


def test_both_networks_may_have_one_folder(tmp_path: Path) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    check_origin(tmp_path, "quality", {"--seed": "2"})
    check_origin(tmp_path, "deeplab", OPTIONS)


def test_files_are_told_apart_by_what_is_in_them(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("first", "copy", "other"))
    first.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    other.write_bytes(b"others")
    assert describe_file(first) == describe_file(copy) != describe_file(other)
    with pytest.raises(InputError, match="missing: can't be read"):
        describe_file(tmp_path / "missing")


def test_notes_that_nobody_can_read_are_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InputError, match=rf"{FILE}: can't be read"):
        check_origin(tmp_path, "deeplab", OPTIONS)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/training/origin\.json: can't be written"):
        check_origin(tmp_path / "file/training", "deeplab", OPTIONS)
