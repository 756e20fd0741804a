"""Settings are validated strictly, with helpful errors."""

import re
from pathlib import Path

import pytest

from danmatte.errors import SettingsError
from danmatte.settings import Settings, describe_settings, is_loopback, resolve_settings, to_flag, to_variable
from tests.service.toy import publish


def test_flags_override_the_environment_which_overrides_the_file(tmp_path: Path) -> None:
    file = tmp_path / "matting.toml"
    file.write_text('host = "::1"\nport = 9000\ncores = 3\n')
    found = resolve_settings(file, {"DANMATTE_PORT": "9001", "DANMATTE_CORES": "4", "PATH": "x"}, {"port": "9002"})
    settings = found.settings
    assert (settings.host, settings.cores, settings.port, settings.queue) == ("::1", 4, 9002, Settings().queue)
    assert found.origins == {"host": str(file), "cores": "DANMATTE_CORES", "port": "--port"}


def test_the_environment_can_name_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "matting.toml"
    file.write_text("port = 9000\n")
    assert resolve_settings(None, {"DANMATTE_SETTINGS": str(file)}, {}).settings.port == 9000


@pytest.mark.parametrize("text", ["true", "1"])
def test_every_kind_of_value_can_be_written_as_text(text: str) -> None:
    given = {"DANMATTE_OPEN": text, "DANMATTE_HOST": "0.0.0.0", "DANMATTE_DEADLINE_S": "1.5"}
    settings = resolve_settings(None, given, {}).settings
    assert (settings.open, settings.host, settings.deadline_s) == (True, "0.0.0.0", 1.5)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DANMATTE_PROT": "1"}, "unknown variable 'DANMATTE_PROT'; did you mean 'DANMATTE_PORT'?"),
        ({"DANMATTE_port": "1"}, "unknown variable 'DANMATTE_port'"),
        ({"DANMATTE_PORT": "none"}, "DANMATTE_PORT: Expected `int`"),
        ({"DANMATTE_SERVICES": "1"}, "unknown variable 'DANMATTE_SERVICES'"),
        ({"DANMATTE_PORT": ""}, "DANMATTE_PORT: Expected `int`"),
        ({"DANMATTE_OPEN": "maybe"}, "DANMATTE_OPEN: Expected `bool`"),
        ({"DANMATTE_ACCESS_LOG": "xml"}, "DANMATTE_ACCESS_LOG: Invalid enum value 'xml'"),
        ({"DANMATTE_SETTINGS": "nowhere.toml"}, "nowhere.toml: expected a readable TOML file"),
    ],
)
def test_an_invalid_variable_is_rejected_by_its_name(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError) as error:
        resolve_settings(None, environment, {})
    assert expected in str(error.value)


def test_a_public_address_needs_keys_or_the_setting_open() -> None:
    with pytest.raises(SettingsError, match="unless `keys` or `open` is set"):
        Settings.read(None, host="0.0.0.0")
    assert Settings.read(None, host="0.0.0.0", open=True).open
    assert Settings.read(None, host="0.0.0.0", keys="keys.toml").keys


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_are_recognized(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "localhost.example.org"])
def test_other_addresses_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match="both or neither"):
        Settings.read(None, tls_certificate="cert.pem")


def test_every_setting_has_a_description_and_a_uniform_name() -> None:
    assert [name for name, facts in describe_settings().items() if not facts.description] == []
    assert (to_variable("max_body_bytes"), to_flag("max_body_bytes")) == ("DANMATTE_MAX_BODY_BYTES", "--max-body-bytes")


def test_the_default_host_is_loopback() -> None:
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean 'port'?"),
        ("[server]\nport = 1", "unknown key 'server'"),
        ("port = '8080'", "Expected `int`, got `str` - at `$.port`"),
        ("port = 65536", "$.port"),
        ("queue = -1", "$.queue"),
        ("deadline_s = nan", "$.deadline_s"),
        ("deadline_s = -1", "$.deadline_s"),
        ("connection_s = -1.0", "$.connection_s"),
        ("host = ''", "$.host"),
        ("max_pixels = 1.5", "$.max_pixels"),
        ("port = ", "readable TOML"),
        ("port = 1\nport = 2", "readable TOML"),
    ],
)
def test_an_invalid_file_is_rejected_with_its_path_and_key(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "matting.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        Settings.read(file)
    assert str(error.value).startswith(f"{file}: ")
    assert expected in str(error.value)


def test_a_missing_settings_file_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="readable TOML"):
        Settings.read(tmp_path / "none.toml")


def test_the_default_models_are_in_the_current_folder_or_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings().models_folder == Path(__file__).parents[2] / "models"
    publish(tmp_path / "models")
    assert Settings().models_folder == Path("models")
    assert Settings(models="elsewhere").models_folder == Path("elsewhere")


def test_a_connection_time_of_0_is_accepted() -> None:
    assert Settings.read(None, connection_s="0").connection_s == 0


def test_variables_of_the_projects_own_tests_are_ignored() -> None:
    root, folders = Path(__file__).parents[2], ("tests/real", "tests/service/load", "scripts", ".ci")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix != ".pyc"]
    read = re.compile(r"environ(?:\.get\(|\[)\"(DANMATTE_[A-Z_]+)\"")
    names = {name for path in files if path.is_file() for name in read.findall(path.read_text(errors="ignore"))}
    assert "DANMATTE_SHARED" in names
    assert resolve_settings(None, dict.fromkeys(names, "1"), {}).origins == {}


def test_kubernetes_variables_of_a_service_named_danmatte_are_ignored() -> None:
    links = {
        "DANMATTE_PORT": "tcp://10.0.0.1:8080",
        "DANMATTE_SERVICE_HOST": "10.0.0.1",
        "DANMATTE_SERVICE_PORT": "8080",
        "DANMATTE_SERVICE_PORT_HTTP": "8080",
        "DANMATTE_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "DANMATTE_PORT_8080_TCP_ADDR": "10.0.0.1",
        "DANMATTE_PORT_8080_TCP_PROTO": "tcp",
    }
    assert resolve_settings(None, links, {}).settings.port == 8080
    assert resolve_settings(None, links | {"DANMATTE_PORT": "9000"}, {}).settings.port == 9000


def test_kubernetes_variables_of_services_with_a_similar_name_are_ignored() -> None:
    links = {
        "DANMATTE_CANARY_PREDICTOR_PORT": "tcp://10.0.0.1:80",
        "DANMATTE_CANARY_PREDICTOR_SERVICE_HOST": "10.0.0.1",
        "DANMATTE_CANARY_PREDICTOR_SERVICE_PORT": "80",
        "DANMATTE_CANARY_PREDICTOR_SERVICE_PORT_HTTP": "80",
        "DANMATTE_CANARY_PREDICTOR_PORT_80_TCP": "tcp://10.0.0.1:80",
        "DANMATTE_CANARY_PREDICTOR_PORT_80_TCP_ADDR": "10.0.0.1",
        "DANMATTE_GRPC_PORT": "tcp://10.0.0.1:9000",  # set by Kubernetes for a Service danmatte-grpc
    }
    assert resolve_settings(None, links, {}).origins == {}
    for name in ("DANMATTE_CANARY_PORT", "DANMATTE_CANARY_SERVICE"):
        with pytest.raises(SettingsError, match=f"unknown variable '{name}'"):
            resolve_settings(None, {name: "9000"}, {})
