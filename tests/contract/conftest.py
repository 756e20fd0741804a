"""Versions published by the workbench, for the service to read. Only these tests import both packages."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from danmatte_workbench.metrics.accuracy import KindLoss
from danmatte_workbench.publish import publish
from tests.workbench import facts, tiny
from tests.workbench.conftest import built, describe, labelled
from tests.workbench.tiny import Tiny

__all__ = ["built", "describe", "labelled"]

Publish = Callable[..., Path]


@pytest.fixture
def published(describe, built, tmp_path: Path) -> Publish:
    """Publish a tiny model's next version, with the given resize rule."""

    def publish_one(wanted: Tiny = tiny.PLAIN, rule: str = "stretch") -> Path:
        source = dataclasses.replace(describe(wanted), rule=rule, fill=(9, 99, 199))
        measured = [facts.measured("throughput", 90, low=80, high=99), facts.measured("iou_drop", -0.25)]
        trial = facts.trial("float", *measured, artifact=built(wanted))
        by_night = KindLoss("night", facts.measured("iou_drop", 0.25, low=0.125, high=0.5))
        return publish(dataclasses.replace(trial, kinds=(by_night,)), source, tmp_path / "models")

    return publish_one


@pytest.fixture
def folder(published: Publish) -> Path:
    """Return one published version."""
    return published()


def manifest(folder: Path) -> dict[str, Any]:
    """Return the contents of its manifest."""
    return json.loads((folder / "manifest.json").read_text("utf-8"))
