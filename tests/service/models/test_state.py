"""A model's state and its renewal from the disk, without a repository."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine, Served
from danmatte.errors import ModelError, UnknownLabelError
from danmatte.models import Canary, Policy
from danmatte.models.listing import explain_absence, list_model
from danmatte.models.lru import VersionLru
from danmatte.models.policy import write_policy
from danmatte.models.scan import FoundModel
from danmatte.models.state import Fault, ModelState, renew
from tests.service.toy import Toy, manifest

STAMPS = {version: ((version, version, version),) * 3 for version in (4, 3, 2, 1)}
ALL = FoundModel(STAMPS)


def serve(version: int) -> Served:
    facts = msgspec.convert(manifest(Toy()) | {"version": version}, Manifest)
    return Served(facts, FakeEngine(facts))


class Disk:
    """A folder of one model; versions in `bad` can't be opened."""

    def __init__(self, root: Path) -> None:
        self.root, self.bad, self.opened = root, set[int](), list[int]()
        (root / "toy").mkdir()

    def open(self, version: int) -> Served:
        self.opened.append(version)
        if version in self.bad:
            raise ModelError(f"{version} is broken")
        return serve(version)

    def renew(self, old: ModelState, found: FoundModel = ALL, policy: Policy | None = None) -> ModelState:
        if policy is not None:
            write_policy(self.root, "toy", policy)
        return renew(old, self.root, found, self.open)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def number(served: Served | None) -> int | None:
    return served.manifest.version if served else None


def test_the_newest_good_version_is_stable_and_the_bad_one_is_remembered(disk: Disk) -> None:
    disk.bad = {4}
    model = disk.renew(ModelState("toy"))
    assert number(model.stable) == 3
    assert model.faults == {4: Fault(STAMPS[4], "4 is broken")}
    again = disk.renew(model)
    assert disk.opened == [4, 3]
    assert again.stable is model.stable


def test_a_bad_version_is_retried_when_its_files_change(disk: Disk) -> None:
    disk.bad = {4}
    model = disk.renew(ModelState("toy"))
    disk.bad = set()
    mended = FoundModel({**STAMPS, 4: ((9, 9, 9),) * 3})
    model = disk.renew(model, mended)
    assert (number(model.stable), model.faults) == (4, {})


def test_a_deleted_version_serves_until_a_different_one_replaces_it(disk: Disk) -> None:
    model = disk.renew(ModelState("toy"), FoundModel({4: STAMPS[4]}))
    gone = disk.renew(model, FoundModel())
    assert number(gone.stable) == 4
    assert "found none" in gone.trouble
    assert number(disk.renew(gone, FoundModel({3: STAMPS[3]})).stable) == 3


def test_a_pin_to_a_missing_version_keeps_the_current_version(disk: Disk) -> None:
    model = disk.renew(ModelState("toy"))
    pinned = disk.renew(model, policy=Policy(pin=7))
    assert number(pinned.stable) == 4
    assert pinned.lacks_version
    assert pinned.explain_unmet() == "toy/7: there is no such version"


def test_a_bad_pin_at_startup_falls_back_to_an_older_version(disk: Disk) -> None:
    disk.bad = {3}
    model = disk.renew(ModelState("toy"), policy=Policy(pin=3))
    assert number(model.stable) == 2
    assert not model.lacks_version
    assert model.explain_unmet() == "toy/3: 3 is broken"


def test_a_disabled_model_has_no_open_version(disk: Disk) -> None:
    model = disk.renew(disk.renew(ModelState("toy")), policy=Policy(enabled=False))
    assert (model.open, model.explain_unmet()) == ([], "")
    assert not model.may_stay_open(4)
    assert explain_absence([model], "toy") == "toy was unloaded"


def test_labels_lead_to_versions_and_back(disk: Disk) -> None:
    model = disk.renew(ModelState("toy"), policy=Policy(canary=Canary(4, 0.5), labels={"old": 1}))
    assert {label: model.resolve_label(label) for label in ("stable", "canary", "latest", "old")} == {
        "stable": 3,
        "canary": 4,
        "latest": 4,
        "old": 1,
    }
    assert [model.labels_of(version) for version in (4, 3, 2, 1)] == [["canary"], ["stable"], [], ["old"]]
    with pytest.raises(UnknownLabelError, match="did you mean 'stable'"):
        model.resolve_label("stabel")


def test_versions_older_than_stable_are_candidates_for_a_rollback(disk: Disk) -> None:
    disk.bad = {2}
    model = disk.renew(ModelState("toy"), policy=Policy(pin=3))
    assert model.list_older() == [2, 1]
    assert not model.stable_is_oldest
    model = disk.renew(model, FoundModel({4: STAMPS[4], 3: STAMPS[3]}))
    assert model.list_older() == []
    assert model.stable_is_oldest


def test_a_rollback_skips_versions_known_to_be_bad(disk: Disk) -> None:
    model = disk.renew(ModelState("toy"), policy=Policy(pin=3))
    disk.bad = {2}
    model = disk.renew(model, policy=Policy(pin=2))
    assert (number(model.stable), list(model.faults)) == (3, [2])
    assert model.list_older() == [1]


@given(share=some.floats(0, 1), start=some.integers(0, 300))
def test_any_hundred_requests_in_a_row_include_the_canarys_share(share: float, start: int) -> None:
    stable, canary = serve(1), serve(2)
    model = ModelState("toy", policy=Policy(canary=Canary(2, share)), stable=stable, canary=canary)
    drawn = [model.draw() for _ in range(start + 100)][start:]
    assert abs(sum(served is canary for served in drawn) - 100 * share) <= 3


def test_a_listing_describes_the_state_of_each_version(disk: Disk) -> None:
    disk.bad = {4}
    model, spares = disk.renew(ModelState("toy")), VersionLru(1)
    spares.add(("toy", 1), serve(1))
    listing = msgspec.json.decode(msgspec.json.encode(list_model(model, spares, is_default=True)))
    ready = {"state": "ready", "input": [96, 160], "precision": "f32"}
    ready |= {"outputs": {"person": "regions"}, "regions": ["person"]}
    assert listing == {
        "name": "toy",
        "default": True,
        "versions": [
            {"version": 4, "state": "failed", "reason": "4 is broken"},
            {"version": 3, **ready, "labels": ["stable"]},
            {"version": 2, "state": "available"},
            {"version": 1, **ready},
        ],
    }


@given(uses=some.lists(some.tuples(some.booleans(), some.integers(0, 6)), max_size=40), most=some.integers(0, 4))
def test_the_lru_keeps_the_last_used_versions(uses: list[tuple[bool, int]], most: int) -> None:
    served, spares, expected = serve(1), VersionLru(most), list[int]()
    for adds, version in uses:
        key = ("toy", version)
        if adds:
            spares.add(key, served)
        if adds or spares.get(key):
            expected = ([other for other in expected if other != version] + [version])[-most:] if most else []
        assert [spares.peek(("toy", each)) is served for each in range(7)] == [each in expected for each in range(7)]
    spares.retain(lambda key: key[1] % 2 == 0)
    assert len(list(spares)) == sum(version % 2 == 0 for version in expected)
