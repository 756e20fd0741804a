"""Listings of models for inference clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from danmatte.api.catalogue import Catalogue
from danmatte.engine import FakeEngine
from danmatte.errors import UnknownModelError, UnknownVersionError
from danmatte.inference.admission import Admission
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import Matting
from danmatte.inference.request import Requests, VersionSelector
from danmatte.models import Policy, Repository
from tests.service.models.opener import spoil
from tests.service.toy import publish

TOY = VersionSelector("toy")


@pytest.fixture
def requests(tmp_path: Path) -> Iterator[Requests]:
    """Three versions of a toy model: the newest can't be served, the next is open, the oldest opens on demand."""
    for version in (1, 2, 3):
        publish(tmp_path, version=version)
    spoil(tmp_path / "toy" / "3")
    repository = Repository(tmp_path, lambda found: FakeEngine(found.manifest))
    repository.load()
    matting = Matting(workers=1, max_pixels=10**6)
    yield Requests(repository, Admission(queue=8, in_flight=2, deadline_s=5), matting, LiveCalls(1))
    repository.close()
    matting.close()


def test_the_index_lists_all_versions_or_only_ready_ones(requests: Requests) -> None:
    catalogue = Catalogue(requests)
    rows = catalogue.list_index()
    assert [(row["version"], row["state"]) for row in rows] == [
        ("3", "UNAVAILABLE"),
        ("2", "READY"),
        ("1", "UNAVAILABLE"),
    ]
    assert "graph.xml" in rows[0]["reason"]
    assert [row["reason"] for row in rows[1:]] == ["", ""]
    assert [row["version"] for row in catalogue.list_index(ready=True)] == ["2"]


def test_a_version_that_failed_to_load_is_not_servable(requests: Requests) -> None:
    assert Catalogue(requests).list_servable("toy") == ["2", "1"]


async def test_an_unloaded_model_has_no_servable_versions(requests: Requests) -> None:
    await requests.repository.change_policy("toy", lambda policy: Policy(enabled=False))
    assert Catalogue(requests).list_servable("toy") == []


def test_an_unknown_model_is_refused_with_the_nearest_name(requests: Requests) -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'toy'"):
        Catalogue(requests).find_model("toi")


async def test_statistics_cover_ready_versions_only(requests: Requests) -> None:
    requests.statistics.get_executions(("toy", 2)).count(3, 0.1)
    for selector in (VersionSelector(), TOY, VersionSelector("toy", 2)):
        (entry,) = (await Catalogue(requests).describe_statistics(selector))["model_stats"]
        assert (entry["version"], entry["inference_count"]) == ("2", 3)


async def test_requesting_statistics_of_an_unopened_version_opens_it(requests: Requests) -> None:
    (entry,) = (await Catalogue(requests).describe_statistics(VersionSelector("toy", 1)))["model_stats"]
    assert (entry["version"], entry["inference_count"]) == ("1", 0)


async def test_statistics_of_an_unknown_version_are_refused(requests: Requests) -> None:
    with pytest.raises(UnknownVersionError):
        await Catalogue(requests).describe_statistics(VersionSelector("toy", 9))
