"""Settings are strict, and kind about it."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "matting.toml"
    file.write_text('host = "0.0.0.0"\nport = 9000\n')
    settings = Settings.read(file, port=9001)
    assert (settings.host, settings.port, settings.queue) == ("0.0.0.0", 9001, Settings().queue)


def test_only_this_machine_is_listened_to_by_default() -> None:
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean 'port'?"),
        ("[server]\nport = 1", "unknown key 'server'"),
        ("port = '8080'", "Expected `int`, got `str` - at `$.port`"),
        ("port = 65536", "$.port"),
        ("queue = 0", "$.queue"),
        ("deadline_s = nan", "$.deadline_s"),
        ("deadline_s = -1", "$.deadline_s"),
        ("host = ''", "$.host"),
        ("max_pixels = 1.5", "$.max_pixels"),
        ("port = ", "readable TOML"),
        ("port = 1\nport = 2", "readable TOML"),
    ],
)
def test_a_bad_file_is_refused_with_file_and_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "matting.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        Settings.read(file)
    assert str(refused.value).startswith(f"{file}: ")
    assert says in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="readable TOML"):
        Settings.read(tmp_path / "none.toml")


def test_models_are_those_here_or_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().models_folder == Path(__file__).parents[2] / "models"
    (tmp_path / "models").mkdir()
    assert Settings().models_folder == Path("models")
    assert Settings(models="elsewhere").models_folder == Path("elsewhere")
