"""API keys: known by their digests, refused by name."""

import hashlib
from pathlib import Path

import pytest

from danmatte.errors import SettingsError, UnauthorizedError
from danmatte.http.auth import ApiKeys


def digest(key: str) -> str:
    """What stands in the file."""
    return hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    """Two of them."""
    file = tmp_path / "keys.toml"
    file.write_text(f'player = "{digest("secret-1")}"\n"ops.one" = "{digest("secret-2")}"\n')
    return ApiKeys.read(file)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"Authorization": "Bearer secret-1"}, "player"),
        ({"Authorization": "bearer  secret-2 "}, "ops.one"),
        ({"X-Api-Key": "secret-2"}, "ops.one"),
        ({"authorization": "Bearer secret-1"}, "player"),
        ({"x-api-key": "secret-1"}, "player"),
    ],
)
def test_a_known_key_has_a_name(keys: ApiKeys, headers: dict[str, str], name: str) -> None:
    assert keys.identify(headers).name == name


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic secret-1"},
        {"Authorization": "Bearer secret-3"},
        {"Authorization": f"Bearer {digest('secret-1')}"},
        {"X-Api-Key": "secret-1 "},
        {"X-Api-Key": "\udcff"},
    ],
)
def test_anything_else_is_refused_without_being_repeated(keys: ApiKeys, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        keys.identify(headers)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one key"),
        ("player = ", "readable TOML"),
        ("player = 'secret-key'", "player: expected a SHA-256"),
        (f"player = '{digest('x').upper()}'", "player: expected a SHA-256"),
        ("player = 1", "player: expected a SHA-256"),
        (f"'a b' = '{digest('x')}'", "expected a name"),
        (f"[player]\ndigest = '{digest('x')}'", "player: expected a SHA-256"),
    ],
)
def test_a_bad_file_is_refused_and_its_content_kept_quiet(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        ApiKeys.read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="readable TOML"):
        ApiKeys.read(tmp_path / "none.toml")


def test_keys_are_read_again_and_a_bad_file_changes_nothing(keys: ApiKeys, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'newcomer = "{digest("secret-3")}"')
    keys.read_again()
    assert keys.identify({"X-Api-Key": "secret-3"}).name == "newcomer"
    with pytest.raises(UnauthorizedError):
        keys.identify({"X-Api-Key": "secret-1"})
    file.write_text("newcomer = 1")
    keys.read_again()
    file.unlink()
    keys.read_again()
    assert keys.identify({"X-Api-Key": "secret-3"}).name == "newcomer"
