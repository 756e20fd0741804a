"""Training uses the faster number format, and keeps it when resumed."""

from pathlib import Path

import pytest

from danmatte_workbench.training.deeplab import precision

SECONDS = {"mixed_bfloat16": 1.6, "float32": 1.0}


def test_the_faster_format_is_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(precision, "time_step", SECONDS.__getitem__)
    assert precision.choose_precision(tmp_path / "new") == "float32"


def test_a_resumed_training_keeps_its_number_format(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(precision, "time_step", SECONDS.__getitem__)
    first = precision.choose_precision(tmp_path)
    monkeypatch.setattr(precision, "time_step", lambda policy: -SECONDS[policy])
    assert precision.choose_precision(tmp_path) == first


def test_an_unknown_stored_format_is_not_used(tmp_path: Path) -> None:
    (tmp_path / precision.FILE).write_text("float12\n")
    assert precision.choose_precision(tmp_path) in precision.POLICIES


@pytest.mark.parametrize("policy", precision.POLICIES)
def test_a_training_step_can_be_timed_in_each_format(policy: str) -> None:
    assert precision.time_step(policy) > 0
