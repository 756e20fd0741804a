"""Hostile inputs in parts: ranges add up, and nothing is counted twice."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from load import fuzz

WRONG = "import pytest\n\n\n@pytest.mark.slow\ndef test_wrong():\n    assert False\n"


def part(kind: str, first: int, reserved: int, **outcomes: int) -> fuzz.Part:
    inputs = sum(outcomes.values())
    return {"kind": kind, "first": first, "reserved": reserved, "inputs": inputs, "outcomes": outcomes}


def test_adjacent_ranges_of_a_kind_are_merged() -> None:
    merged = fuzz.merge_parts([part("calls", 8, 8, OK=2), part("calls", 0, 8, OK=1, NOT_FOUND=1), part("tracks", 8, 8)])
    assert merged == [part("calls", 0, 16, NOT_FOUND=1, OK=3), part("tracks", 8, 8)]


def test_ranges_with_a_gap_between_them_are_not_merged() -> None:
    assert len(fuzz.merge_parts([part("calls", 0, 8), part("calls", 9, 8)])) == 2


@pytest.mark.parametrize("first", [3, 10, 17])
def test_a_range_that_overlaps_a_counted_one_is_rejected(first: int) -> None:
    with pytest.raises(SystemExit, match="counted already"):
        fuzz.check_new([part("calls", 10, 8)], [part("calls", first, 8)])


def test_the_same_range_of_a_different_kind_is_accepted() -> None:
    fuzz.check_new([part("calls", 10, 8)], [part("tracks", 10, 8)])


def test_a_run_continues_where_the_previous_one_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "run_part", lambda first, step, kinds: [part("calls", first, step, OK=step // 4)])
    options = Namespace(json=tmp_path / "new" / "tally.json", inputs=100, step=200, first=1000, kinds=[])
    fuzz.run(options)
    tally = fuzz.run(Namespace(**vars(options) | {"first": None}))
    assert [(each["first"], each["inputs"]) for each in tally["parts"]] == [(1000, 200)]
    assert tally["inputs"] == 200
    assert json.loads(options.json.read_text()) == tally


def test_a_part_whose_tests_fail_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "ROOT", tmp_path)
    monkeypatch.setattr(fuzz, "KINDS", {"calls": "test_fuzz_wrong.py::test_wrong"})
    (tmp_path / "tests/real").mkdir(parents=True)
    (tmp_path / "tests/real/test_fuzz_wrong.py").write_text(WRONG)
    options = Namespace(json=tmp_path / "tally.json", inputs=1, step=1, first=0, kinds=["calls"])
    with pytest.raises(SystemExit, match="numbers 0 to 1: failed"):
        fuzz.run(options)
    assert not options.json.exists()


def test_every_kind_has_a_test_that_records_its_parts() -> None:
    for kind, test in fuzz.KINDS.items():
        file, _, name = test.partition("::")
        text = (fuzz.ROOT / "tests/real" / file).read_text(encoding="utf-8")
        assert f"def {name}(" in text
        assert f'note_part("{kind}"' in text
