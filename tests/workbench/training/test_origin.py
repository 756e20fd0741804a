"""A stored training is resumed only with the same options."""

from pathlib import Path

import pytest

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.training.origin import FILE, check_origin, describe_file

OPTIONS = {"--seed": "1", "--initial": "the file of sha256 aa"}


def test_a_stored_training_resumes_with_the_same_options(tmp_path: Path) -> None:
    check_origin(tmp_path / "new", "deeplab", OPTIONS)
    check_origin(tmp_path / "new", "deeplab", OPTIONS)
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]


@pytest.mark.parametrize("flag", OPTIONS)
def test_different_options_are_refused_with_the_stored_ones(tmp_path: Path, flag: str) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    with pytest.raises(InputError, match=rf"another {flag}: expected {OPTIONS[flag]}, received 7; give another"):
        check_origin(tmp_path, "deeplab", {**OPTIONS, flag: "7"})
    check_origin(tmp_path, "deeplab", OPTIONS)


def test_only_one_student_can_be_added_to_a_stored_training(tmp_path: Path) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    check_origin(tmp_path, "deeplab", {**OPTIONS, "--student": "0.35"})
    check_origin(tmp_path, "deeplab", OPTIONS)
    with pytest.raises(InputError, match=r"another --student: expected 0\.35, received 0\.5"):
        check_origin(tmp_path, "deeplab", {**OPTIONS, "--student": "0.5"})


def test_trainings_of_both_networks_can_share_a_folder(tmp_path: Path) -> None:
    check_origin(tmp_path, "deeplab", OPTIONS)
    check_origin(tmp_path, "quality", {"--seed": "2"})
    check_origin(tmp_path, "deeplab", OPTIONS)


def test_files_are_described_by_their_content(tmp_path: Path) -> None:
    first, copy, other = (tmp_path / name for name in ("first", "copy", "other"))
    first.write_bytes(b"weights")
    copy.write_bytes(b"weights")
    other.write_bytes(b"others")
    assert describe_file(first) == describe_file(copy) != describe_file(other)
    with pytest.raises(InputError, match="missing: can't be read"):
        describe_file(tmp_path / "missing")


def test_an_unreadable_origin_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InputError, match=rf"{FILE}: can't be read"):
        check_origin(tmp_path, "deeplab", OPTIONS)


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match=r"file/training/origin\.json: can't be written"):
        check_origin(tmp_path / "file/training", "deeplab", OPTIONS)
