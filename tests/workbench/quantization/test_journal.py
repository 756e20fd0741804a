"""Figures that take long are computed once, whatever happens to the file."""

import json
from pathlib import Path

import pytest

from danmatte_workbench.quantization.journal import Journal


class Search:
    """A slow computation whose calls are counted."""

    def __init__(self, *figures: float) -> None:
        self.figures, self.count = figures, 0

    def __call__(self) -> tuple[float, ...]:
        self.count += 1
        return self.figures


def test_a_figure_is_computed_once_in_a_run(tmp_path: Path) -> None:
    journal, search = Journal(tmp_path / "a.jsonl"), Search(0.5, 1)
    assert [journal.recall("x", search) for _ in range(3)] == [[0.5, 1.0]] * 3
    assert search.count == len(journal) == 1


def test_a_figure_is_computed_once_over_several_runs(tmp_path: Path) -> None:
    path = tmp_path / "deep/a.jsonl"
    Journal(path).recall("x", Search(0.5))
    again = Search(9)
    journal = Journal(path)
    assert (len(journal), journal.recall("x", again)) == (1, [0.5])
    assert again.count == 0


def test_figures_are_written_as_soon_as_they_are_computed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    journal = Journal(path)
    for number in range(3):
        journal.recall(str(number), Search(number))
        assert len(path.read_text().splitlines()) == number + 1


def test_a_failed_computation_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    def fail() -> list[float]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Journal(path).recall("x", fail)
    assert not path.exists()


@pytest.mark.parametrize("torn", ['["y", [0.', '["y"]', "7", '["y", ["a"]]', '{"y": 1}', "", "null"])
def test_a_damaged_line_is_ignored_and_the_others_are_read(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(["x", [0.5]]) + "\n" + torn)
    journal = Journal(path)
    assert len(journal) == 1
    assert journal.recall("x", Search(9)) == [0.5]
    assert journal.recall("y", Search(2)) == [2.0]
    assert journal.recall("z", Search(3)) == [3.0]
    assert len(Journal(path)) == 3, "what was found after the kill is read, too"


def test_a_journal_that_is_not_text_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xff\xfe\x00")
    assert len(Journal(path)) == 0
    Journal(path).recall("x", Search(9))
    assert len(Journal(path)) == 1


def test_an_unwritable_journal_keeps_figures_for_the_current_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    journal, search = Journal(tmp_path / "file/a.jsonl"), Search(1)
    assert [journal.recall("x", search) for _ in range(2)] == [[1.0]] * 2
    assert search.count == 1
