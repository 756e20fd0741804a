"""What a scan of the folder finds, and when the watch refreshes a model."""

import os
from pathlib import Path

import pytest

from danmatte.models.scan import NOTHING, scan_model, scan_models
from danmatte.models.watch import Watch
from tests.service.models.opener import copy_version
from tests.service.toy import publish


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return the folder of version 1."""
    return publish(tmp_path, version=1)


def test_a_scan_finds_models_and_versions_newest_first(toy: Path) -> None:
    copy_version(toy, 10)
    copy_version(toy, 9)
    publish(toy.parents[1], name="other")
    (toy.parent / "notes").mkdir()
    (toy.parents[1] / "README").write_text("")
    found = scan_models(toy.parents[1])
    assert {name: list(model.versions) for name, model in found.items()} == {"other": [1], "toy": [10, 9, 1]}


def test_a_missing_folder_gives_an_empty_scan(tmp_path: Path) -> None:
    assert scan_models(tmp_path / "nowhere") == {}
    assert scan_model(tmp_path, "toy").versions == NOTHING.versions


@pytest.mark.parametrize("file", ["manifest.json", "graph.xml", "graph.bin"])
def test_a_change_of_any_file_changes_the_stamp(toy: Path, file: str) -> None:
    before = scan_model(toy.parents[1], "toy")
    assert scan_model(toy.parents[1], "toy") == before
    facts = (toy / file).stat()
    os.utime(toy / file, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    touched = scan_model(toy.parents[1], "toy")
    assert touched != before
    (toy / file).unlink()
    assert scan_model(toy.parents[1], "toy") not in (before, touched)


def test_a_new_policy_changes_only_the_stamp_of_the_policy(toy: Path) -> None:
    before = scan_model(toy.parents[1], "toy")
    (toy.parent / "serving.toml").write_text("pin = 1")
    after = scan_model(toy.parents[1], "toy")
    assert after.versions == before.versions
    assert after.policy != before.policy


async def test_the_watch_refreshes_changed_models_once_they_stop_changing(toy: Path) -> None:
    root, refreshed = toy.parents[1], list[str]()

    async def refresh(name: str) -> None:
        refreshed.append(name)

    watch = Watch(root, refresh)
    watch.accept()
    await watch.scan()
    assert refreshed == []
    publish(root, name="new")
    copy_version(toy, 2)
    await watch.scan()
    assert refreshed == []
    await watch.scan()
    assert refreshed == ["new", "toy"]
    for path in (root / "new").rglob("*"):
        if path.is_file():
            path.unlink()
    (root / "new/1").rmdir()
    (root / "new").rmdir()
    for _ in range(3):
        await watch.scan()
    assert refreshed == ["new", "toy", "new"]


async def test_a_model_that_fails_to_refresh_does_not_block_the_others(
    toy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refreshed = list[str]()

    async def refresh(name: str) -> None:
        refreshed.append(name)
        if name == "bad":
            raise OSError("no more descriptors")

    watch = Watch(toy.parents[1], refresh)
    watch.accept()
    publish(toy.parents[1], name="bad")
    copy_version(toy, 2)
    for _ in range(3):
        await watch.scan()
    assert refreshed == ["bad", "toy"]
    assert caplog.messages == ["bad: could not be refreshed"]
