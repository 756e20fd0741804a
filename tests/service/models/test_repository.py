"""Which version is served, and that a bad version doesn't affect the others."""

import asyncio
from pathlib import Path

import pytest

from danmatte.contract.artifact import Artifact
from danmatte.engine import FakeEngine
from danmatte.errors import EngineError, ModelError, SettingsError, UnknownModelError, UnknownVersionError
from danmatte.models import Repository
from tests.service.models.opener import Opener, spoil
from tests.service.ports import publish_meaning
from tests.service.toy import Toy, publish


@pytest.fixture
def opener() -> Opener:
    return Opener()


async def test_the_newest_version_is_served(tmp_path: Path, opener: Opener) -> None:
    for version in (2, 10, 9):
        publish(tmp_path, version=version)
    repository = Repository(tmp_path, opener)
    repository.load()
    assert opener.opened == [("toy", 10)]
    assert (await repository.find()).manifest.version == 10
    assert (await repository.find("toy", 10)).manifest.version == 10


async def test_a_bad_version_leaves_the_older_one_serving(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path, version=1)
    spoil(publish(tmp_path, version=2))
    repository = Repository(tmp_path, opener)
    repository.load()
    assert (await repository.find("toy")).manifest.version == 1
    bad, good = repository.list_models()[0].versions
    assert (bad.version, bad.state) == (2, "failed")
    assert "graph.xml" in bad.reason
    assert (good.version, good.state) == (1, "ready")
    with pytest.raises(ModelError, match=r"graph\.xml"):
        await repository.find("toy", 2)


async def test_the_older_version_serves_if_the_newer_ones_engine_fails(tmp_path: Path) -> None:
    publish(tmp_path, version=1)
    publish(tmp_path, version=2)

    def open_engine(found: Artifact) -> FakeEngine:
        if found.manifest.version == 2:
            raise ModelError("no such device")
        return FakeEngine(found.manifest)

    repository = Repository(tmp_path, open_engine)
    repository.load()
    assert (await repository.find()).manifest.version == 1


async def test_concurrent_callers_share_one_opening_despite_a_cancelled_caller(tmp_path: Path, opener: Opener) -> None:
    for version in (1, 2):
        publish(tmp_path, version=version)
    repository = Repository(tmp_path, opener)
    repository.load()
    cancelled = asyncio.create_task(repository.find("toy", 1))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(repository.find("toy", 1)) for _ in range(3)]
    await asyncio.sleep(0)
    cancelled.cancel()
    assert len({id(served) for served in await asyncio.gather(*waiting)}) == 1
    assert opener.opened == [("toy", 2), ("toy", 1)]


async def test_the_least_recently_used_version_is_evicted(tmp_path: Path, opener: Opener) -> None:
    for version in (1, 2, 3, 4):
        publish(tmp_path, version=version)
    repository = Repository(tmp_path, opener, spares=2)
    repository.load()
    for version in (1, 2, 1, 3, 1, 2):
        await repository.find("toy", version)
    assert [version for _, version in opener.opened] == [4, 1, 2, 3, 2]


async def test_a_version_that_failed_is_not_opened_again(tmp_path: Path, opener: Opener) -> None:
    spoil(publish(tmp_path, version=1))
    publish(tmp_path, version=2)
    repository = Repository(tmp_path, opener)
    repository.load()
    for _ in range(2):
        with pytest.raises(ModelError, match="size_bytes"):
            await repository.find("toy", 1)
        (tmp_path / "toy/1/graph.xml").unlink(missing_ok=True)


async def test_an_unknown_model_or_version_is_reported_by_name(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path)
    repository = Repository(tmp_path, opener)
    repository.load()
    with pytest.raises(UnknownModelError, match="did you mean 'toy'"):
        await repository.find("toi")
    with pytest.raises(UnknownVersionError, match="received 7"):
        await repository.find("toy", 7)


async def test_a_model_without_a_good_version_is_reported_with_the_reason(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path, name="good")
    spoil(publish(tmp_path, name="bad"))
    repository = Repository(tmp_path, opener)
    repository.load()
    assert (await repository.find()).manifest.name == "good"
    with pytest.raises(ModelError, match="bad/1"):
        await repository.find("bad")


def test_a_folder_without_models_is_rejected(tmp_path: Path, opener: Opener) -> None:
    with pytest.raises(SettingsError, match="expected <name>/<version>"):
        Repository(tmp_path, opener).load()
    with pytest.raises(SettingsError, match="expected <name>/<version>"):
        Repository(tmp_path / "nowhere", opener).load()


def test_a_model_with_only_bad_versions_is_rejected(tmp_path: Path, opener: Opener) -> None:
    spoil(publish(tmp_path))
    with pytest.raises(SettingsError, match=r"toy/1: .*graph\.xml"):
        Repository(tmp_path, opener).load()


async def test_several_models_need_a_default(tmp_path: Path, opener: Opener) -> None:
    for name in ("a", "b"):
        publish(tmp_path, name=name)
    with pytest.raises(SettingsError, match="--model"):
        Repository(tmp_path, opener).load()
    repository = Repository(tmp_path, opener, default="b")
    assert repository.load().manifest.name == "b"
    with pytest.raises(SettingsError, match="'c'"):
        Repository(tmp_path, opener, default="c").load()


async def test_the_only_model_that_makes_masks_is_the_default_one(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path, name="masks")
    publish_meaning(tmp_path, "score", name="judge")
    repository = Repository(tmp_path, opener)
    assert repository.load().manifest.name == "masks"
    assert (await repository.find("judge")).manifest.name == "judge"
    publish(tmp_path, name="others")
    with pytest.raises(SettingsError, match=r"several models \(masks, others\)"):
        Repository(tmp_path, opener).load()


async def test_a_model_without_masks_is_the_default_if_it_is_the_only_model(tmp_path: Path, opener: Opener) -> None:
    publish_meaning(tmp_path, "score", name="judge")
    assert Repository(tmp_path, opener).load().manifest.name == "judge"


async def test_a_version_published_later_can_be_requested(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path, version=1)
    repository = Repository(tmp_path, opener)
    repository.load()
    publish(tmp_path, Toy(step=8), version=2)
    assert (await repository.find("toy", 2)).manifest.version == 2


async def test_closing_closes_the_engines(tmp_path: Path, opener: Opener) -> None:
    publish(tmp_path)
    repository = Repository(tmp_path, opener)
    served = repository.load()
    repository.close()
    with pytest.raises(EngineError, match="closed"):
        served.engine.infer(None)
    with pytest.raises(EngineError, match="closed"):
        await served.batcher.infer(None)
    assert [model.name for model in repository.list_models()] == ["toy"]
