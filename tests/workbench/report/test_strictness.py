"""Every field of every record of a run.json: unknown, missing and wrongly typed ones are refused."""

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from danmatte_workbench.errors import InputError
from danmatte_workbench.report import records
from danmatte_workbench.report.records import Figure, RunRecord, read_run
from tests.workbench.report import places, rundir

MASK = {"frame": "a", "size": [4, 6], "files": {"frame": "f.jpg", "source": "s.png", "winner": "w.png"}, "iou": 0.5}


def complete() -> dict[str, Any]:
    """Return the facts of a run in which no field of any record is empty."""
    facts = rundir.content()
    facts["masks"] = [copy.deepcopy(MASK) | {"lost": 1.5}]
    facts["masks"][0]["files"]["label"] = "a-label.png"
    for trial in facts["trials"]:
        trial["state"] = "accepted" if trial["accepted"] else "rejected"
        trial["levels"] = {"AVX2": rundir.figure(0.4, 0.5, "points")}
    facts["load"] = 0.25
    facts["scores"] = [{"frame": "a.jpg", "kind": "night", "lost": {"int8 f32": 1.5}}]
    facts["starts"] = [{"who": "int8", "compile_ms": 90.0, "first_ms": 12.0, "memory_bytes": 150_000_000}]
    work = {"operations": 10**7, "size_bytes": 10**6, "weights": [16, 3, 3, 3], "stays_float": "n", "source": "Conv"}
    for layer in (*facts["layers"]["before"], *facts["layers"]["after"]):
        layer |= work
    facts["data"]["kinds_found"] = True
    facts["nearest"] = facts["trials"][2]["name"]
    facts["published"] = "models/deeplab/1"
    facts["sweep"][0] |= {"ratio": rundir.figure(1.1, 0.1, "×"), "note": "n"}
    facts["isa"][0] |= {"honoured": True, "note": "n"}
    return facts


COMPLETE = complete()
KINDS = places.list_kinds(COMPLETE)
RECORDS = {
    kind.cls.__name__: (path, kind)
    for path, kind, _ in reversed(list(places.walk(COMPLETE)))
    if isinstance(kind, inspect.StructType)
}
REQUIRED = [(record, field.name) for record, (_, kind) in RECORDS.items() for field in kind.fields if field.required]


def refuse(folder: Path, facts: dict[str, Any]) -> str:
    """Return the error of reading the facts, without the file name."""
    path = folder / records.FILE
    path.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(InputError) as refusal:
        read_run(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: isn't a run: ")
    return message.removeprefix(f"{path}: isn't a run: ")


def test_the_example_has_every_field_of_every_record() -> None:
    fields = {
        (record.__name__, name)
        for record in vars(records).values()
        if isinstance(record, type) and issubclass(record, msgspec.Struct)
        for name in record.__struct_fields__
    }
    assert set(KINDS) == fields


def test_a_complete_run_is_read_back_unchanged(tmp_path: Path) -> None:
    (tmp_path / records.FILE).write_text(json.dumps(COMPLETE), "utf-8")
    read = json.loads(msgspec.json.encode(read_run(tmp_path)))
    assert {name: read[name] for name in COMPLETE if name not in ("sweep", "isa")} == {
        name: COMPLETE[name] for name in COMPLETE if name not in ("sweep", "isa")
    }
    for part in ("sweep", "isa"):
        for written, found in zip(COMPLETE[part], read[part], strict=True):
            assert found.items() >= written.items()


@pytest.mark.parametrize("record", RECORDS)
def test_an_unknown_field_is_refused_with_its_place(tmp_path: Path, record: str) -> None:
    facts, (path, _) = complete(), RECORDS[record]
    places.get(facts, path)["zzz"] = 1
    message = refuse(tmp_path, facts)
    assert "unknown field `zzz`" in message
    assert (places.write(facts, path) in message) or not path
    assert "did you mean" not in message  # nothing is near


@pytest.mark.parametrize(("record", "field"), REQUIRED)
def test_a_missing_field_is_named_with_its_place(tmp_path: Path, record: str, field: str) -> None:
    facts, (path, _) = complete(), KINDS[record, field]
    del places.get(facts, path[:-1])[path[-1]]
    message = refuse(tmp_path, facts)
    assert f"missing required field `{field}`" in message
    assert (places.write(facts, path[:-1]) in message) or len(path) == 1


@pytest.mark.parametrize(("record", "field"), KINDS)
def test_a_field_of_a_wrong_type_is_refused_with_its_place(tmp_path: Path, record: str, field: str) -> None:
    facts, (path, kind) = complete(), KINDS[record, field]
    name = places.write(facts, path)
    for wrong in (b"text", 7, {"object": 1}, [[1]]):
        content = wrong.decode() if isinstance(wrong, bytes) else wrong
        if type(content) is type(places.get(COMPLETE, path)) or (content == 7 and "Float" in repr(kind)):
            continue
        places.put(facts, path, content)
        message = refuse(tmp_path, facts)
        assert message.startswith("Expected `")
        assert name in message


@pytest.mark.parametrize(("record", "field"), [key for key, (_, kind) in KINDS.items() if "NoneType" not in repr(kind)])
def test_null_is_refused_in_fields_that_do_not_allow_it(tmp_path: Path, record: str, field: str) -> None:
    facts, (path, _) = complete(), KINDS[record, field]
    places.put(facts, path, None)
    assert places.write(facts, path) in refuse(tmp_path, facts)


# Numbers and names at the limits of their ranges.


@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        (("source", "size", 0), 1, 2**16),
        (("masks", 0, "size", 1), 1, 2**16),
        (("data", "frames"), 0, None),
        (("data", "calibration_frames"), 0, None),
        (("sweep", 0, "batch"), 1, None),
        (("sweep", 0, "streams"), 0, None),
        (("sweep", 0, "threads"), 0, None),
        (("sweep", 0, "requests"), 0, None),
        (("layers", "after", 0, "ms"), 0, 1e15),
        (("trials", 0, "measurements", "throughput", "samples"), 0, None),
    ],
)
def test_a_number_beyond_its_range_is_refused(
    tmp_path: Path, path: places.Path, least: int, most: float | None
) -> None:
    for allowed in (least, most if most is not None else 10**6):
        facts = complete()
        places.put(facts, path, allowed)
        (tmp_path / records.FILE).write_text(json.dumps(facts), "utf-8")
        read_run(tmp_path)
    for refused in (least - 1, *([] if most is None else [most + 1])):
        facts = complete()
        places.put(facts, path, refused)
        assert places.write(facts, path) in refuse(tmp_path, facts)


@pytest.mark.parametrize("path", [("trials", 2, "name"), ("source", "name"), ("sweep", 0, "who"), ("isa", 0, "isa")])
def test_a_name_must_have_1_to_300_characters(tmp_path: Path, path: places.Path) -> None:
    for length in (1, 300):
        facts = complete() | {"nearest": None}
        places.put(facts, path, "n" * length)
        (tmp_path / records.FILE).write_text(json.dumps(facts), "utf-8")
        read_run(tmp_path)
    for length in (0, 301):
        facts = complete() | {"nearest": None}
        places.put(facts, path, "n" * length)
        assert places.write(facts, path) in refuse(tmp_path, facts)


@pytest.mark.parametrize("name", ["a", "01-frame.jpg", "A_1.b-c.png", "n" * 100])
def test_a_plain_file_name_is_allowed(tmp_path: Path, name: str) -> None:
    facts = complete()
    facts["masks"][0] = MASK | {"files": MASK["files"] | {"winner": name}}
    (tmp_path / records.FILE).write_text(json.dumps(facts), "utf-8")
    assert read_run(tmp_path).masks[0].files.winner == name


@pytest.mark.parametrize("name", [".hidden", "-rf", "a b", "a\\b", "ä", "n" * 101, "a\x00"])
def test_a_file_name_with_unsafe_characters_is_refused(tmp_path: Path, name: str) -> None:
    facts = complete()
    facts["masks"][0] = MASK | {"files": MASK["files"] | {"winner": name}}
    assert "$.masks[0].files.winner" in refuse(tmp_path, facts)


@pytest.mark.parametrize("ends", [(1.0, 2.0, 3.0), (3.0, 1.0, 2.0), (2.0, 3.0, 1.0)])
def test_a_figure_outside_its_interval_is_refused(ends: tuple[float, float, float]) -> None:
    value, low, high = ends
    with pytest.raises(ValueError, match=f"Expected low <= value <= high, got {low}, {value}, {high}"):
        Figure(value, low, high, "ms", 1)
    assert Figure(2.0, 2.0, 2.0, "ms", 1).value == 2


@pytest.mark.parametrize("value", [1.1e15, -1.1e15, 1e308])
def test_a_figure_too_large_for_a_chart_is_refused(tmp_path: Path, value: float) -> None:
    facts = complete()
    facts["trials"][0]["measurements"]["throughput"] = rundir.figure(value, 0, "frames/s")
    assert "$.trials[0].measurements[...]" in refuse(tmp_path, facts)


# Free dictionaries


@pytest.mark.parametrize("levels", [17, 900, 100_000])
def test_too_deeply_nested_lists_are_refused(tmp_path: Path, levels: int) -> None:
    text = json.dumps(COMPLETE).replace('"AMD EPYC"', "[" * levels + "]" * levels)
    (tmp_path / records.FILE).write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"isn't a run: .*nested"):
        read_run(tmp_path)


def test_settings_and_host_may_be_nested_up_to_16_levels(tmp_path: Path) -> None:
    facts = complete()
    facts["host"]["cpu"] = facts["trials"][0]["configuration"]["x"] = json.loads("[" * 15 + "]" * 15)
    (tmp_path / records.FILE).write_text(json.dumps(facts), "utf-8")
    assert read_run(tmp_path).host["cpu"] == facts["host"]["cpu"]
    facts["trials"][0]["configuration"]["x"] = {"y": facts["host"]["cpu"]}
    assert "at most 16 levels" in refuse(tmp_path, facts)


def test_a_file_above_the_size_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = rundir.write(tmp_path, pictures=False) / records.FILE
    size = path.stat().st_size
    monkeypatch.setattr(records, "LIMIT_BYTES", size)
    assert read_run(tmp_path).winner
    monkeypatch.setattr(records, "LIMIT_BYTES", size - 1)
    with pytest.raises(InputError, match=rf"expected at most {size - 1} bytes, found {size}"):
        read_run(tmp_path)


# Metrics of the budget


def limit(**budget: float | None) -> RunRecord:
    """Return a run with this budget."""
    return rundir.read(lambda facts: facts.update(budget=budget))


@pytest.mark.parametrize("key", ["max_latency", "max_latency_ms"])
def test_a_limits_key_may_end_in_its_unit(key: str) -> None:
    assert limit(**{key: 40.0}).limit("latency") == 40


def test_a_limit_that_is_null_missing_or_infinite_is_no_limit() -> None:
    assert limit(max_latency_ms=None).limit("latency") is None
    assert limit().limit("latency") is None
    assert msgspec.structs.replace(limit(), budget={"max_latency_ms": float("inf")}).limit("latency") is None
    assert limit(max_iou_drop=0.0).limit("iou_drop") == 0


def test_the_loss_metric_is_preferably_both_limited_and_measured() -> None:
    assert limit(max_disagreement=1.0).loss == "disagreement"  # limited, though only the other was measured
    assert limit(max_disagreement=1.0, max_iou_drop=1.0).loss == "iou_drop"
    assert limit().loss == "iou_drop"

    def measure_the_other(facts: dict[str, Any]) -> None:
        facts["budget"] = {"max_iou_drop": 1.0, "max_disagreement": 1.0}
        for trial in facts["trials"]:
            if "iou_drop" in trial["measurements"]:
                trial["measurements"]["disagreement"] = trial["measurements"].pop("iou_drop")

    assert rundir.read(measure_the_other).loss == "disagreement"  # both are limited, this one was measured

    def unmeasure(facts: dict[str, Any]) -> None:
        facts["budget"], facts["winner"] = {}, None
        facts["trials"] = []

    assert rundir.read(unmeasure).loss == "iou_drop"


def test_the_chosen_trial_is_the_winner_or_the_nearest_or_none() -> None:
    names = [trial["name"] for trial in rundir.content()["trials"]]

    def choose(**changes: str | None) -> str | None:
        chosen = rundir.read(lambda facts: facts.update(changes)).chosen
        return chosen.name if chosen else None

    assert choose(winner=names[1], nearest=names[2]) == names[1]
    assert choose(winner=None, nearest=names[2]) == names[2]
    assert choose(winner=None, nearest=None) is None
    assert rundir.read().trial("unknown") is None
