"""Versions that are added, removed or bad while the model is served."""

import asyncio
import gc
import shutil
from pathlib import Path
from typing import Any

import pytest

from danmatte.contract.artifact import Artifact
from danmatte.engine import FakeEngine
from danmatte.errors import EngineError, ModelError, UnknownLabelError, UnknownModelError, UnknownVersionError
from danmatte.models import ModelListing, Policy, Repository
from danmatte.models.listing import list_model
from danmatte.models.watch import Watch
from tests.service.models.opener import Opener, copy_version, find_stable, list_states, load, spoil
from tests.service.toy import publish


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """Return the folder of version 1."""
    return publish(tmp_path, version=1)


async def test_a_new_version_takes_over_and_the_old_one_is_freed(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    busy = await repository.find()
    copy_version(toy, 2)
    await repository.refresh()
    assert await find_stable(repository) == 2
    assert busy.manifest.version == 1
    assert opener.engines[1]() is busy.engine
    del busy
    gc.collect()
    assert opener.engines[1]() is None


async def test_a_bad_version_is_reported_and_the_older_one_keeps_serving(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    spoil(copy_version(toy, 2))
    opener.bad = {3}
    copy_version(toy, 3)
    for _ in range(2):
        await repository.refresh()
    assert await find_stable(repository) == 1
    assert list_states(repository) == {3: "failed", 2: "failed", 1: "ready"}
    reasons = [version.reason for version in repository.list_models()[0].versions]
    assert "no such device" in reasons[0]
    assert "graph.xml" in reasons[1]
    assert opener.opened.count(("toy", 3)) == 1


async def test_a_version_is_not_served_until_it_is_copied_completely(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    whole = copy_version(toy, 2)
    weights, graph = (whole / "graph.bin").read_bytes(), (whole / "graph.xml").read_bytes()
    (whole / "graph.bin").unlink()
    (whole / "graph.xml").write_bytes(graph[:100])
    for piece, data in (("graph.xml", graph[:200]), ("graph.bin", weights[:-1]), ("graph.xml", graph)):
        await repository.refresh()
        assert await find_stable(repository) == 1
        (whole / piece).write_bytes(data)
    (whole / "graph.bin").write_bytes(weights)
    await repository.refresh()
    assert await find_stable(repository) == 2


async def test_a_changing_folder_is_opened_only_after_it_stops_changing(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    new = copy_version(toy, 2)
    await repository._watch.scan()
    (new / "graph.bin").touch()
    await repository._watch.scan()
    assert opener.opened == [("toy", 1)]
    await repository._watch.scan()
    assert await find_stable(repository) == 2
    await repository._watch.scan()
    assert len(opener.opened) == 2


async def test_a_model_added_later_is_found_by_the_watch(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    publish(toy.parents[1], name="other")
    async with repository.watch(0.01), asyncio.timeout(5):
        while len(repository.list_models()) < 2:  # noqa: ASYNC110 - the condition has no event
            await asyncio.sleep(0.01)
    assert (await repository.find("other")).manifest.name == "other"


async def test_a_deleted_version_is_removed_when_a_different_one_can_replace_it(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    repository = load(toy.parents[1], opener)
    shutil.rmtree(toy.parent / "2")
    assert await find_stable(repository) == 2
    await repository.refresh()
    assert await find_stable(repository) == 1
    assert list_states(repository) == {1: "ready"}


async def test_the_last_version_keeps_serving_when_its_folder_is_deleted(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    shutil.rmtree(toy.parent)
    await repository.refresh()
    await repository.refresh("toy")
    assert await find_stable(repository) == 1
    assert "found none" in repository.list_models()[0].trouble
    copy_version(publish(toy.parents[1], version=2), 3)
    await repository.refresh()
    assert await find_stable(repository) == 3


async def test_a_pinned_version_is_served_instead_of_newer_ones(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    (toy.parent / "serving.toml").write_text("pin = 1")
    repository = load(toy.parents[1], opener)
    assert await find_stable(repository) == 1
    assert (await repository.find(label="latest")).manifest.version == 2
    (toy.parent / "serving.toml").unlink()
    await repository.refresh()
    assert await find_stable(repository) == 2


async def test_a_pin_to_a_bad_version_serves_an_older_one_and_never_a_newer_one(toy: Path, opener: Opener) -> None:
    for version in (2, 3):
        copy_version(toy, version)
    spoil(toy.parent / "2")
    (toy.parent / "serving.toml").write_text("pin = 2")
    repository = load(toy.parents[1], opener)
    assert await find_stable(repository) == 1
    assert "toy/2" in repository.list_models()[0].trouble


async def test_pinning_a_bad_or_missing_version_changes_nothing(toy: Path, opener: Opener) -> None:
    for version in (2, 3):
        copy_version(toy, version)
    repository = load(toy.parents[1], opener)
    spoil(toy.parent / "2")
    with pytest.raises(ModelError, match=r"toy/2: .*nothing was changed"):
        await repository.change_policy("toy", lambda policy: policy.pin_to(2))
    with pytest.raises(UnknownVersionError, match=r"toy/9: there is no such version; nothing was changed"):
        await repository.change_policy("toy", lambda policy: policy.pin_to(9))
    assert await find_stable(repository) == 3
    assert not (toy.parent / "serving.toml").exists()


async def test_a_rollback_skips_bad_versions_and_ignores_newer_ones_afterwards(toy: Path, opener: Opener) -> None:
    for version in (2, 3):
        copy_version(toy, version)
    repository = load(toy.parents[1], opener)
    opener.bad = {2}
    await repository.roll_back("toy")
    assert await find_stable(repository) == 1
    copy_version(toy, 4)
    await repository.refresh()
    assert await find_stable(repository) == 1
    with pytest.raises(UnknownVersionError, match="no good version below"):
        await repository.roll_back("toy")


async def test_the_canary_gets_its_share_in_any_series_of_requests(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    (toy.parent / "serving.toml").write_text("[canary]\nversion = 2\nshare = 0.2")
    repository = load(toy.parents[1], opener)
    drawn = [await find_stable(repository) for _ in range(1000)]
    for start in range(0, 1000, 50):
        assert 8 <= drawn[start : start + 50].count(2) <= 12
    assert 98 <= drawn[::2].count(2) <= 102  # also evenly among every other request
    assert (await repository.find(label="canary")).manifest.version == 2
    assert (await repository.find(label="stable")).manifest.version == 1


async def test_all_requests_go_to_stable_if_the_canary_fails_to_open(toy: Path, opener: Opener) -> None:
    spoil(copy_version(toy, 2))
    (toy.parent / "serving.toml").write_text("[canary]\nversion = 2\nshare = 1.0")
    repository = load(toy.parents[1], opener)
    assert {await find_stable(repository) for _ in range(10)} == {1}
    with pytest.raises(UnknownLabelError, match="no 'canary'"):
        await repository.find(label="canary")


async def test_a_label_chosen_in_the_policy_leads_to_its_version(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    (toy.parent / "serving.toml").write_text("[labels]\nold = 1")
    repository = load(toy.parents[1], opener)
    assert (await repository.find(label="old")).manifest.version == 1
    with pytest.raises(UnknownLabelError, match="did you mean 'old'"):
        await repository.find(label="olt")
    assert repository.list_models()[0].versions[1].labels == ["old"]


async def test_an_unloaded_model_frees_its_engine_and_can_be_loaded_again(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    (toy.parent / "serving.toml").write_text("enabled = false")
    await repository.refresh()
    gc.collect()
    assert opener.engines[1]() is None
    for selection in ({}, {"version": 1}, {"label": "latest"}):
        with pytest.raises(ModelError, match="unloaded"):
            await repository.find(**selection)
    (toy.parent / "serving.toml").unlink()
    await repository.refresh()
    assert await find_stable(repository) == 1


async def test_an_invalid_policy_is_reported_and_the_last_valid_one_is_kept(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    (toy.parent / "serving.toml").write_text("pin = 1")
    repository = load(toy.parents[1], opener)
    (toy.parent / "serving.toml").write_text("pin = two")
    await repository.refresh()
    assert await find_stable(repository) == 1
    assert "serving.toml" in repository.list_models()[0].trouble


async def test_concurrent_changes_open_a_version_once(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    copy_version(toy, 2)
    opener.gate.clear()
    changes = [asyncio.create_task(repository.refresh()) for _ in range(3)]
    request = asyncio.create_task(repository.find("toy", 2))
    await asyncio.sleep(0)
    opener.gate.set()
    await asyncio.gather(*changes)
    assert (await request).manifest.version == 2
    assert opener.opened == [("toy", 1), ("toy", 2)]


async def test_a_version_opened_by_a_refresh_while_the_server_closes_is_closed(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    copy_version(toy, 2)
    opener.gate.clear()
    change = asyncio.create_task(repository.refresh())
    while len(opener.opened) < 2:  # noqa: ASYNC110 - the condition becomes true in a thread
        await asyncio.sleep(0.001)
    repository.close()
    opener.gate.set()
    await change
    served = await repository.find()
    assert served.manifest.version == 1
    with pytest.raises(EngineError, match="closed"):
        served.engine.infer(None)
    with pytest.raises(EngineError, match="closed"):
        await served.batcher.infer(None)


async def test_a_version_opened_on_demand_while_the_server_closes_is_closed(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    repository = load(toy.parents[1], opener)
    opener.gate.clear()
    request = asyncio.create_task(repository.find("toy", 1))
    while len(opener.opened) < 2:  # noqa: ASYNC110 - the condition becomes true in a thread
        await asyncio.sleep(0.001)
    repository.close()
    opener.gate.set()
    with pytest.raises(EngineError, match="closed"):
        (await request).engine.infer(None)


async def test_a_version_that_was_just_published_is_opened_on_demand(toy: Path, opener: Opener) -> None:
    repository = load(toy.parents[1], opener)
    copy_version(toy, 2)
    assert (await repository.find("toy", 2)).manifest.version == 2
    with pytest.raises(UnknownVersionError, match="received 3"):
        await repository.find("toy", 3)


async def test_a_reload_retries_a_version_that_failed_to_open(toy: Path, opener: Opener) -> None:
    copy_version(toy, 2)
    opener.bad = {2}
    repository = load(toy.parents[1], opener)
    opener.bad = set()
    await repository.refresh()
    assert await find_stable(repository) == 1
    await repository.reload("toy")
    assert await find_stable(repository) == 2
    with pytest.raises(UnknownModelError):
        await repository.reload("nobody")


async def test_opened_rejected_and_replaced_versions_are_logged(
    toy: Path, opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "danmatte.models")
    repository = load(toy.parents[1], opener)
    spoil(copy_version(toy, 3))
    copy_version(toy, 2)
    await repository.refresh()
    opened, began, refused, replacing, *replaced = caplog.messages
    assert (opened, began) == ("toy/1 is open", "toy/1 begins to serve as stable")
    assert refused.startswith("toy/3 is not served: ")
    assert "graph.xml" in refused
    assert replacing == "toy/2 is open"
    assert replaced == ["toy/2 begins to serve as stable", "toy/1 is no longer served"]


async def test_a_scan_that_fails_does_not_end_the_watch(toy: Path, opener: Opener) -> None:
    scans: list[int] = []

    class Shaky(Watch):
        async def scan(self) -> None:
            scans.append(1)
            if len(scans) == 1:
                raise RuntimeError("can't start new thread")
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Shaky(toy.parents[1], load(toy.parents[1], opener).refresh).run(0)
    assert len(scans) == 2


async def test_a_model_removed_during_a_listing_causes_no_error(
    toy: Path, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(toy.parents[1], name="aside", version=1)
    repository = Repository(toy.parents[1], opener, default="toy")
    repository.load()

    def list_late(*facts: Any, **flags: bool) -> ModelListing:
        repository._models.pop("toy", None)
        return list_model(*facts, **flags)

    monkeypatch.setattr("danmatte.models.repository.list_model", list_late)
    assert [model.name for model in repository.list_models()] == ["aside", "toy"]


async def test_changing_the_policy_of_a_removed_model_reports_an_unknown_model(toy: Path, opener: Opener) -> None:
    spoil(toy)  # so that the model has no open version
    publish(toy.parent.parent, name="other")
    repository = load(toy.parent.parent, opener)
    shutil.rmtree(toy)
    with pytest.raises(UnknownModelError):
        await repository.change_policy("toy", lambda policy: Policy(pin=1))
    assert [model.name for model in repository.list_models()] == ["other"]


async def test_any_error_while_opening_marks_the_version_failed_without_a_retry(toy: Path) -> None:
    tried = []

    def opened(found: Artifact) -> FakeEngine:
        tried.append(found.manifest.version)
        if found.manifest.version != 1:
            raise MemoryError("no more room")
        return FakeEngine(found.manifest)

    repository = Repository(toy.parent.parent, opened)
    repository.load()
    copy_version(toy, 2)
    for _ in range(2):
        await repository.refresh()
    assert await find_stable(repository) == 1
    assert list_states(repository) == {2: "failed", 1: "ready"}
    for _ in range(2):
        with pytest.raises(ModelError, match="MemoryError: no more room"):
            await repository.find(version=2)
    assert tried == [1, 2]
