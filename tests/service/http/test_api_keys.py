"""API keys: the key file, and identification of clients."""

import hashlib
from pathlib import Path

import pytest

from danmatte.errors import InvalidParameterError, SettingsError, UnauthorizedError
from danmatte.http.api_keys import ApiKeys, make_key
from danmatte.http.tokens import make_token


def digest(key: str) -> str:
    """The digest of a key, as the key file has it."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


@pytest.fixture
def keys(tmp_path: Path) -> ApiKeys:
    """Two keys."""
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
def test_a_known_key_in_either_header_is_identified_by_name(keys: ApiKeys, headers: dict[str, str], name: str) -> None:
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
def test_a_missing_or_unknown_key_is_refused_without_repeating_it(keys: ApiKeys, headers: dict[str, str]) -> None:
    with pytest.raises(UnauthorizedError) as refused:
        keys.identify(headers)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "at least one key"),
        ("player = ", "readable TOML"),
        ("player = 'secret-key'", "player: expected sha256: and the SHA-256"),
        (f"player = '{digest('x').upper()}'", "player: expected sha256: and the SHA-256"),
        (f"player = '{digest('x').removeprefix('sha256:')}'", "never the key itself"),  # may be a key of `openssl rand`
        ("player = 1", "player: Expected `str`"),
        (f"'a b' = '{digest('x')}'", "expected a name"),
        (f"[player]\ndigest = '{digest('x')}'\nrates = 5", "player: unknown key 'rates'; did you mean 'rate'?"),
        (f"[player]\ndigest = '{digest('x')}'\nrate = 0", "player: Expected `float` > 0"),
        (f"[player]\ndigest = '{digest('x')}'\ntokens = 'secret'", "player: tokens: expected hmac:"),
        ("[player]\nrate = 5", "player: expected sha256: and the SHA-256"),
    ],
)
def test_an_invalid_key_file_is_refused_without_revealing_its_content(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        ApiKeys.read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert says in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="readable TOML"):
        ApiKeys.read(tmp_path / "none.toml")


def test_keys_are_reloaded_and_an_invalid_file_changes_nothing(keys: ApiKeys, tmp_path: Path) -> None:
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


def test_a_generated_key_and_its_tokens_match_the_lines_for_the_key_file(tmp_path: Path) -> None:
    key, lines = make_key("phone.app")
    assert key not in lines
    file = tmp_path / "keys.toml"
    file.write_text(lines)
    keys = ApiKeys.read(file)
    assert keys.identify({"X-Api-Key": key}).name == "phone.app"
    assert key != make_key("phone.app")[0]
    token = make_token(key, "phone.app", subject="viewer-7", scope=("live",), seconds=60)
    identity = keys.identify({}, token)
    assert (identity.name, identity.scope) == ("phone.app/viewer-7", {"live"})


def test_generating_a_key_for_an_invalid_name_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match="name: expected letters"):
        make_key("a b")


def test_an_identity_is_invalid_once_its_key_was_removed_or_replaced(keys: ApiKeys, tmp_path: Path) -> None:
    identity = keys.identify({"X-Api-Key": "secret-1"})
    other = keys.identify({"X-Api-Key": "secret-2"})
    assert identity.is_valid()
    (tmp_path / "keys.toml").write_text(f'player = "{digest("new")}"')
    keys.read_again()
    assert not identity.is_valid()
    assert not other.is_valid()


def test_a_viewer_has_the_quota_of_its_key(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(f'[page]\ndigest = "{digest("x")}"\nrate = 2.5\nstreams = 4\n')
    quota = ApiKeys.read(file).find_quota("page/viewer")
    assert quota
    assert (quota.rate, quota.burst, quota.in_flight, quota.streams) == (2.5, None, None, 4)
