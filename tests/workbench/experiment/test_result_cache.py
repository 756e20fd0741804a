"""The cache of results: its keys, and that a file is complete or absent."""

import json
from pathlib import Path

import pytest

from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.store import ResultCache

KEY = {"graph": "a" * 64, "size": (513, 513), "host": {"cores": 2}}


def test_a_stored_result_is_found_by_its_key(tmp_path: Path) -> None:
    ResultCache(tmp_path).put("scores", KEY, [1, 2.5, {"iou": 0.5}])
    assert ResultCache(tmp_path).get("scores", dict(reversed(KEY.items()))) == [1, 2.5, {"iou": 0.5}]


@pytest.mark.parametrize("changed", [{"graph": "b" * 64}, {"size": (513, 289)}, {"host": {"cores": 4}}, {"more": None}])
def test_a_different_key_has_no_result(tmp_path: Path, changed: dict[str, object]) -> None:
    ResultCache(tmp_path).put("scores", KEY, 1)
    assert ResultCache(tmp_path).get("scores", KEY | changed) is None
    assert ResultCache(tmp_path).get("rounds", KEY) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"answer": 1}', json.dumps({"question": {}, "answer": 1})])
def test_an_unreadable_file_counts_as_no_result(tmp_path: Path, content: str) -> None:
    results = ResultCache(tmp_path)
    results.put("scores", KEY, 1)
    results.locate("scores", KEY).write_text(content)
    assert results.get("scores", KEY) is None


def test_a_new_result_replaces_the_old_one(tmp_path: Path) -> None:
    results = ResultCache(tmp_path)
    for result in (1, 2):
        results.put("scores", KEY, result)
    assert results.get("scores", KEY) == 2
    assert len(list((tmp_path / "scores").iterdir())) == 1


def test_a_result_that_json_cannot_hold_is_refused_and_the_old_one_kept(tmp_path: Path) -> None:
    results = ResultCache(tmp_path)
    results.put("scores", KEY, 1)
    with pytest.raises(ValueError, match="JSON compliant"):
        results.put("scores", KEY, float("nan"))
    assert results.get("scores", KEY) == 1


def test_an_unwritable_folder_is_reported_as_a_machine_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MachineError, match="can't be written"):
        ResultCache(tmp_path / "file").put("scores", KEY, 1)
