"""What serving.toml may say, and how it gets there."""

from pathlib import Path

import pytest

from danmatte.errors import PolicyError
from danmatte.models import Canary, Policy
from danmatte.models.policy import read_policy, write_policy


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


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="can't be written"):
        write_policy(tmp_path, "nowhere", Policy(pin=1))
