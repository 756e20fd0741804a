"""A change that alters verdicts must raise the `REVISION` of judging, by which libraries recognize older verdicts."""

import json
from typing import Any

import pytest

from danmatte.library.judging import REVISION
from tests.service.library import reference

_PRECISION = 0.3  # points of 100, because instruction sets round differently
STORE = "python -m tests.service.library.reference"
WHAT_TO_DO = (
    "the verdict on a drawn clip has changed, and REVISION in danmatte/library/judging.py hasn't. Libraries would keep "
    "verdicts of the earlier code as if this code had made them. If the change is meant, raise REVISION and run "
    f"`{STORE}`"
)


def flatten(found: Any, place: str = "") -> dict[str, Any]:
    """Return every value by its path."""
    if isinstance(found, dict):
        return {name: value for key in found for name, value in flatten(found[key], f"{place}.{key}").items()}
    if isinstance(found, (list, tuple)):
        return {name: value for at, each in enumerate(found) for name, value in flatten(each, f"{place}.{at}").items()}
    return {place: found}


def test_the_verdict_equals_the_stored_one_of_the_same_revision() -> None:
    file = reference.find_file()
    assert file.exists(), f"no verdict is stored for revision {REVISION}: run `{STORE}`"
    made, stored = flatten(reference.make_verdict()), flatten(json.loads(file.read_text()))
    assert made.keys() == stored.keys(), WHAT_TO_DO
    for place, value in stored.items():
        close = pytest.approx(value, abs=_PRECISION) if isinstance(value, float) else value
        assert made[place] == close, f"{place}: {WHAT_TO_DO}"


def test_a_stored_verdict_is_not_overwritten() -> None:
    before = reference.find_file().read_bytes()
    assert "raise REVISION" in reference.store()
    assert reference.find_file().read_bytes() == before
