"""What `check-config` says, and keeps to itself."""

import hashlib
from pathlib import Path

import pytest

from service.errors import SettingsError
from service.rehearsal import rehearse
from service.settings import configured, described


def said(environment: dict[str, str], **flags: str) -> list[str]:
    """The lines."""
    return list(rehearse(configured(None, environment, flags)))


def test_every_setting_is_said_with_its_origin(models: Path) -> None:
    lines = said({"MATTING_MODELS": str(models)}, port="9001")
    assert [line.split(" = ")[0] for line in lines[: len(described())]] == list(described())
    assert "port = 9001  # --port" in lines
    assert 'host = "127.0.0.1"  # default' in lines
    assert "# toy/1: good" in lines


def test_secrets_stay_secret(models: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    keys = tmp_path / "keys.toml"
    keys.write_text(f'player = "{digest}"\n')
    where = "https://user:hunter2@collector:4318/v1"
    text = "\n".join(said({"MATTING_MODELS": str(models)}, keys=str(keys), otlp_endpoint=where))
    assert str(keys) in text
    assert digest not in text
    assert "hunter2" not in text
    assert "https://…@collector:4318/v1" in text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"models": "nowhere"}, "no good version"),
        ({"model": "none"}, "expected none"),
        ({"keys": "nowhere.toml"}, "nowhere.toml"),
        ({"tls_certificate": "nowhere.pem", "tls_key": "nowhere.pem"}, "expected a PEM certificate"),
    ],
)
def test_what_would_stop_the_server_is_said(models: Path, flags: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        said({}, **({"models": str(models)} | flags))
