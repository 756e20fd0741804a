"""run.json is read strictly: errors name the file and the position."""

import json
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.report import records
from tests.workbench.report import rundir


def get_error(folder: Path, change: rundir.Change) -> str:
    """Return the error of reading a changed run."""
    rundir.write(folder, change, pictures=False)
    with pytest.raises(InputError) as refusal:
        records.read_run(folder)
    message = str(refusal.value)
    assert message.startswith(f"{folder / 'run.json'}: ")
    return message


def put(*path: Any, value: Any) -> rundir.Change:
    """Return a change of one position."""

    def change(facts: dict[str, Any]) -> None:
        place: Any = facts
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def test_a_complete_run_is_read(tmp_path: Path) -> None:
    found = records.read_run(rundir.write(tmp_path))
    assert found.winner == "int8-pruned30 throughput f32"
    assert found.chosen is found.trial(found.winner)
    assert found.baselines[found.fastest_baseline]["speedup"].value == 1
    assert (found.loss, found.limit("iou_drop"), found.limit("latency")) == ("iou_drop", 1.1, None)
    assert len(found.masks) == len(rundir.FRAMES)


def test_a_run_is_read_by_its_folder_or_its_file(tmp_path: Path) -> None:
    folder = rundir.write(tmp_path)
    assert records.read_run(folder / "run.json") == records.read_run(folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (put("wnner", value="a"), "unknown field `wnner`; did you mean 'winner'?"),
        (
            put("trials", 2, "accpted", value=True),
            "`accpted` - at `$.trials[2]`; did you mean 'accepted'?",
        ),
        (put("schema", value=2), "at `$.schema`"),
        (put("seconds", value="long"), "Expected `float`, got `str` - at `$.seconds`"),
        (put("trials", 0, "name", value=""), "at `$.trials[0].name`"),
        (put("winner", value="unknown"), "Expected `winner` to name one of the trials, got 'unknown'"),
        (put("nearest", value="unknown"), "Expected `nearest` to name one of the trials, got 'unknown'"),
        (put("fastest_baseline", value="unknown"), "Expected `fastest_baseline` to name a baseline"),
        (put("source", "meaning", value="cat"), "at `$.source.meaning`"),
        (put("layers", "before", 3, "ms", value=-1), "at `$.layers.before[3].ms`"),
    ],
)
def test_an_invalid_field_is_reported_with_its_position(tmp_path: Path, change: rundir.Change, says: str) -> None:
    assert says in get_error(tmp_path, change)


def test_a_value_outside_its_interval_is_refused(tmp_path: Path) -> None:
    change = put("trials", 0, "measurements", "throughput", "low", value=1e9)
    message = get_error(tmp_path, change)
    assert "Expected low <= value <= high" in message
    assert "$.trials[0].measurements" in message


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/b.png", "..", "", "a\n"])
def test_a_picture_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    files = {"frame": name, "source": "a.png", "winner": "b.png"}
    masks = [{"frame": "x", "size": [1, 1], "files": files, "iou": None}]
    assert "at `$.masks[0].files.frame`" in get_error(tmp_path, put("masks", value=masks))


@pytest.mark.parametrize("text", ["", "{", "buy milk", "[1, 2", '{"schema": NaN}', "\xff"])
def test_a_file_that_is_no_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="isn't"):
        records.read_run(tmp_path)


@pytest.mark.parametrize("content", [[], {}, 3, {"schema": 1}])
def test_json_that_is_not_a_run_is_refused(tmp_path: Path, content: Any) -> None:
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"run\.json: isn't a run: "):
        records.read_run(tmp_path)


def test_a_folder_of_runs_is_refused_with_a_list_of_them(tmp_path: Path) -> None:
    for number in (1, 2):
        rundir.write(tmp_path / str(number), pictures=False)
    with pytest.raises(InputError, match=r"No such file or directory.*; the runs there are 1, 2"):
        records.read_run(tmp_path)


def test_tensors_are_judged_by_disagreement(tmp_path: Path) -> None:
    def change(facts: dict[str, Any]) -> None:
        facts["budget"] = {"max_iou_drop": None, "max_disagreement": 2.0, "max_latency_ms": 40}
        for trial in facts["trials"]:
            if "iou_drop" in trial["measurements"]:
                trial["measurements"]["disagreement"] = trial["measurements"].pop("iou_drop")

    found = records.read_run(rundir.write(tmp_path, change, pictures=False))
    assert (found.loss, found.limit("disagreement"), found.limit("latency")) == ("disagreement", 2.0, 40)
