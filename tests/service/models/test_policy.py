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


def test_without_a_policy_file_the_newest_version_comes_first(home: Path) -> None:
    assert read_policy(home.parent, "toy") == Policy()
    assert Policy().order([2, 10, 9]) == [10, 9, 2]


def test_versions_newer_than_the_pin_are_left_out() -> None:
    assert Policy(pin=9).order([2, 10, 9]) == [9, 2]


def test_the_canary_is_not_a_candidate_for_stable() -> None:
    assert Policy(canary=Canary(10, 0.1)).order([2, 10, 9]) == [9, 2]


def test_a_written_policy_is_read_back_unchanged(home: Path) -> None:
    policy = Policy(enabled=False, pin=3, canary=Canary(4, 0.05), labels={"old": 2, "a-b_c": 1})
    write_policy(home.parent, "toy", policy)
    assert read_policy(home.parent, "toy") == policy
    assert [path.name for path in home.iterdir()] == ["serving.toml"]


def test_writing_the_default_policy_removes_the_file(home: Path) -> None:
    write_policy(home.parent, "toy", Policy(pin=1))
    write_policy(home.parent, "toy", Policy())
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_an_invalid_policy_is_rejected_with_its_file_and_key(home: Path, text: str, expected: str) -> None:
    (home / "serving.toml").write_text(text)
    with pytest.raises(PolicyError, match=r"serving\.toml") as refused:
        read_policy(home.parent, "toy")
    assert expected in str(refused.value)


def test_a_link_to_a_device_is_rejected(home: Path) -> None:
    (home / "serving.toml").symlink_to("/dev/zero")
    with pytest.raises(PolicyError, match=r"serving\.toml"):
        read_policy(home.parent, "toy")


def test_a_full_disk_keeps_the_policy_and_leaves_no_partial_file(home: Path) -> None:
    write_policy(home.parent, "toy", Policy(pin=3))
    for _ in range(3):
        with pytest.raises(PolicyError, match="can't be written here"), room(0):
            write_policy(home.parent, "toy", Policy(pin=4))
    assert read_policy(home.parent, "toy") == Policy(pin=3)
    assert [file.name for file in home.iterdir()] == ["serving.toml"]


def test_a_policy_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
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
def test_an_invalid_policy_at_startup_keeps_the_last_pin(pinned: Path, broken: str) -> None:
    (pinned / "toy" / "serving.toml").write_text(broken, encoding="latin-1")
    repository = serve(pinned)
    (model,) = repository.list_models()
    assert [version.version for version in model.versions if version.state == "ready"] == [1]
    assert "the last good policy is followed" in model.trouble


def test_a_model_that_never_had_a_valid_policy_is_not_served(tmp_path: Path) -> None:
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


async def test_an_invalid_policy_can_be_replaced_but_not_changed_in_part(tmp_path: Path) -> None:
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
async def test_a_rejected_change_leaves_the_policy_file_unchanged(tmp_path: Path, text: str) -> None:
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


def test_the_stored_copy_of_a_policy_is_removed_with_its_file(pinned: Path) -> None:
    assert (pinned / "toy" / ".serving.toml.last").read_text() == "pin = 1"
    (pinned / "toy" / "serving.toml").unlink()
    serve(pinned)
    assert not (pinned / "toy" / ".serving.toml.last").exists()


def test_a_check_stores_no_copy_of_the_policy(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "toy" / "serving.toml").write_text("pin = 1")
    serve(tmp_path, policies=PolicyFolder(tmp_path, remembers=False))
    assert not (tmp_path / "toy" / ".serving.toml.last").exists()


async def test_policies_can_be_in_a_separate_writable_folder(tmp_path: Path) -> None:
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
