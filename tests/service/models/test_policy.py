"""The contents of serving.toml, and how it is written."""

from pathlib import Path

import pytest

from danmatte.engine import FakeEngine
from danmatte.errors import PolicyError, SettingsError, UnknownVersionError
from danmatte.models import Canary, Policy, PolicyFolder, Repository
from danmatte.models.policy import read_policy, write_policy
from tests.service.toy import publish
from tests.service.tracks.test_writer import room


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    return folder


def test_without_a_file_the_newest_is_served(home: Path) -> None:
    assert read_policy(home.parent, "toy") == Policy()
    assert Policy().order([2, 10, 9]) == [10, 9, 2]


def test_nothing_newer_than_the_pin_is_served_unasked() -> None:
    assert Policy(pin=9).order([2, 10, 9]) == [9, 2]


def test_a_version_on_trial_is_not_stable_too() -> None:
    assert Policy(canary=Canary(10, 0.1)).order([2, 10, 9]) == [9, 2]


def test_what_was_written_is_read(home: Path) -> None:
    policy = Policy(enabled=False, pin=3, canary=Canary(4, 0.05), labels={"old": 2, "a-b_c": 1})
    write_policy(home.parent, "toy", policy)
    assert read_policy(home.parent, "toy") == policy
    assert [path.name for path in home.iterdir()] == ["serving.toml"]


def test_the_default_needs_no_file(home: Path) -> None:
    write_policy(home.parent, "toy", Policy(pin=1))
    write_policy(home.parent, "toy", Policy())
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("pinned = 1", "pinned"),
        ("pin = 0", "pin"),
        ('pin = "1"', "pin"),
        ("pin = 1\n[canary]\nversion = 1\nshare = 0.1", "other than the pinned"),
        ("[canary]\nversion = 1", "share"),
        ("[canary]\nversion = 1\nshare = 1.1", "share"),
        ("[canary]\nversion = 1\nshare = nan", "share"),
        ("[labels]\nlatest = 1", "'latest'"),
        ('[labels]\n"A/B" = 1', "labels"),
        ("pin = ", "TOML"),
    ],
)
def test_the_impossible_is_refused_with_the_file_and_the_place(home: Path, text: str, says: str) -> None:
    (home / "serving.toml").write_text(text)
    with pytest.raises(PolicyError, match=r"serving\.toml") as refused:
        read_policy(home.parent, "toy")
    assert says in str(refused.value)


def test_a_link_is_no_policy(home: Path) -> None:
    (home / "serving.toml").symlink_to("/dev/zero")
    with pytest.raises(PolicyError, match=r"serving\.toml"):
        read_policy(home.parent, "toy")


def test_a_full_disk_leaves_the_policy_as_it_was_and_nothing_else(home: Path) -> None:
    write_policy(home.parent, "toy", Policy(pin=3))
    for _ in range(3):
        with pytest.raises(PolicyError, match="can't be written here"), room(0):
            write_policy(home.parent, "toy", Policy(pin=4))
    assert read_policy(home.parent, "toy") == Policy(pin=3)
    assert [file.name for file in home.iterdir()] == ["serving.toml"]


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="can't be written"):
        write_policy(tmp_path / "nowhere", "toy", Policy(pin=1))


def serve(root: Path, **options: bool) -> Repository:
    """Return a repository with the folder's models loaded."""
    repository = Repository(root, lambda found: FakeEngine(found.manifest), default="toy", **options)
    repository.load()
    return repository


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    """Publish two versions, pin the older one, and serve it once."""
    for version in (1, 2):
        publish(tmp_path, version=version)
    (tmp_path / "toy" / "serving.toml").write_text("pin = 1")
    serve(tmp_path).close()
    return tmp_path


@pytest.mark.parametrize("broken", ["pin = 'x'", "pin = ", "pinn = 1", "\xff"])
def test_a_broken_policy_at_a_start_releases_no_pin(pinned: Path, broken: str) -> None:
    (pinned / "toy" / "serving.toml").write_text(broken, encoding="latin-1")
    repository = serve(pinned)
    (model,) = repository.list_models()
    assert [version.version for version in model.versions if version.state == "ready"] == [1]
    assert "the last good policy is followed" in model.trouble


def test_a_broken_policy_that_was_never_good_serves_nothing(tmp_path: Path) -> None:
    publish(tmp_path, name="other")
    publish(tmp_path)
    (tmp_path / "toy" / "serving.toml").write_text("pin = 'x'")
    repository = Repository(tmp_path, lambda found: FakeEngine(found.manifest), default="other")
    repository.load()
    toy = next(model for model in repository.list_models() if model.name == "toy")
    assert not [version for version in toy.versions if version.state == "ready"]
    assert "the model is not served" in toy.trouble
    with pytest.raises(SettingsError, match=r"serving\.toml"):
        serve(tmp_path)


async def test_a_policy_that_cannot_be_read_is_replaced_only_as_a_whole(tmp_path: Path) -> None:
    publish(tmp_path, name="other")
    publish(tmp_path)
    file = tmp_path / "toy" / "serving.toml"
    file.write_text("pin = 'x'")
    repository = Repository(tmp_path, lambda found: FakeEngine(found.manifest), default="other")
    repository.load()
    with pytest.raises(PolicyError, match=r"serving\.toml"):
        await repository.change_policy("toy", lambda policy: Policy(enabled=True))
    assert file.read_text() == "pin = 'x'"
    await repository.change_policy("toy", lambda policy: Policy(pin=1), whole=True)
    assert (await repository.find("toy")).manifest.version == 1


@pytest.mark.parametrize("text", ["# why: the new one paints hats\npin = 1\n", "pin = = 1\n"], ids=["good", "broken"])
async def test_a_change_that_cannot_be_served_leaves_every_word_of_the_file(tmp_path: Path, text: str) -> None:
    publish(tmp_path, version=1)
    publish(tmp_path, version=2)
    publish(tmp_path, version=1, name="other")
    file = tmp_path / "toy/serving.toml"
    file.write_text(text)
    repository = Repository(tmp_path, lambda found: FakeEngine(found.manifest), default="other")
    repository.load()
    before, remembered = repository.list_models(), tmp_path / "toy/.serving.toml.last"
    known = remembered.read_text() if remembered.exists() else None
    with pytest.raises(UnknownVersionError, match="nothing was changed"):
        await repository.change_policy("toy", lambda _: Policy(pin=99), whole=True)
    assert file.read_text() == text
    assert repository.list_models() == before
    assert (remembered.read_text() if remembered.exists() else None) == known


def test_what_is_remembered_goes_with_the_file(pinned: Path) -> None:
    assert (pinned / "toy" / ".serving.toml.last").read_text() == "pin = 1"
    (pinned / "toy" / "serving.toml").unlink()
    serve(pinned)
    assert not (pinned / "toy" / ".serving.toml.last").exists()


def test_a_check_remembers_nothing(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "toy" / "serving.toml").write_text("pin = 1")
    serve(tmp_path, policies=PolicyFolder(tmp_path, remembers=False))
    assert not (tmp_path / "toy" / ".serving.toml.last").exists()


async def test_policies_may_be_in_another_folder_that_can_be_written(tmp_path: Path) -> None:
    models, policies = tmp_path / "models", tmp_path / "policies"
    publish(models, version=1)
    publish(models, version=2)
    policies.mkdir()
    (models / "toy" / "serving.toml").write_text("enabled = false")  # ignored
    repository = serve(models, policies=PolicyFolder(policies))
    assert (await repository.find("toy")).manifest.version == 2
    await repository.change_policy("toy", lambda policy: Policy(pin=1))
    assert (await repository.find("toy")).manifest.version == 1
    assert (policies / "toy" / "serving.toml").read_text() == "pin = 1\n"
    again = serve(models, policies=PolicyFolder(policies))
    assert (await again.find("toy")).manifest.version == 1
    assert sorted(path.name for path in (models / "toy").iterdir()) == ["1", "2", "serving.toml"]


def test_a_policy_behind_a_link_into_its_own_folder_is_read(tmp_path: Path) -> None:
    publish(tmp_path)
    hidden = tmp_path / "toy" / "..2026_01"
    hidden.mkdir()
    (hidden / "serving.toml").write_text("pin = 1")
    (tmp_path / "toy" / "..data").symlink_to(hidden.name)
    (tmp_path / "toy" / "serving.toml").symlink_to("..data/serving.toml")  # as Kubernetes mounts it
    assert read_policy(tmp_path, "toy").pin == 1
