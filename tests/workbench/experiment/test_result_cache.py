"""The cache of results: its keys, and that a file is complete or absent."""

import json
from pathlib import Path

import pytest

from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.store import ResultCache

QUESTION = {"graph": "a" * 64, "size": (513, 513), "host": {"cores": 2}}


def test_an_answer_is_found_again_by_its_question(tmp_path: Path) -> None:
    ResultCache(tmp_path).put("scores", QUESTION, [1, 2.5, {"iou": 0.5}])
    assert ResultCache(tmp_path).get("scores", dict(reversed(QUESTION.items()))) == [1, 2.5, {"iou": 0.5}]


@pytest.mark.parametrize("changed", [{"graph": "b" * 64}, {"size": (513, 289)}, {"host": {"cores": 4}}, {"more": None}])
def test_another_question_has_no_answer(tmp_path: Path, changed: dict[str, object]) -> None:
    ResultCache(tmp_path).put("scores", QUESTION, 1)
    assert ResultCache(tmp_path).get("scores", QUESTION | changed) is None
    assert ResultCache(tmp_path).get("rounds", QUESTION) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answer": 1}', json.dumps({"question": {}, "answer": 1})])
def test_what_cannot_be_read_counts_as_never_asked(tmp_path: Path, content: str) -> None:
    results = ResultCache(tmp_path)
    results.put("scores", QUESTION, 1)
    results.locate("scores", QUESTION).write_text(content)
    assert results.get("scores", QUESTION) is None


def test_an_answer_is_replaced_whole(tmp_path: Path) -> None:
    results = ResultCache(tmp_path)
    for answer in (1, 2):
        results.put("scores", QUESTION, answer)
    assert results.get("scores", QUESTION) == 2
    assert len(list((tmp_path / "scores").iterdir())) == 1


def test_a_number_that_json_lacks_leaves_the_old_answer(tmp_path: Path) -> None:
    results = ResultCache(tmp_path)
    results.put("scores", QUESTION, 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        results.put("scores", QUESTION, float("nan"))
    assert results.get("scores", QUESTION) == 1


def test_a_place_that_cannot_be_written_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        ResultCache(tmp_path / "file").put("scores", QUESTION, 1)
