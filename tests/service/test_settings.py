"""Settings are validated strictly, with helpful errors."""

import re
from pathlib import Path

import pytest

from danmatte.errors import SettingsError
from danmatte.settings import Settings, describe_settings, is_loopback, resolve_settings, to_flag, to_variable
from tests.service.toy import publish


def test_flags_win_over_the_environment_over_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "matting.toml"
    file.write_text('host = "::1"\nport = 9000\ncores = 3\n')
    found = resolve_settings(file, {"DANMATTE_PORT": "9001", "DANMATTE_CORES": "4", "PATH": "x"}, {"port": "9002"})
    settings = found.settings
    assert (settings.host, settings.cores, settings.port, settings.queue) == ("::1", 4, 9002, Settings().queue)
    assert found.origins == {"host": str(file), "cores": "DANMATTE_CORES", "port": "--port"}


def test_the_environment_may_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "matting.toml"
    file.write_text("port = 9000\n")
    assert resolve_settings(None, {"DANMATTE_SETTINGS": str(file)}, {}).settings.port == 9000


@pytest.mark.parametrize("text", ["true", "1"])
def test_every_kind_of_value_can_be_written_as_text(text: str) -> None:
    given = {"DANMATTE_OPEN": text, "DANMATTE_HOST": "0.0.0.0", "DANMATTE_DEADLINE_S": "1.5"}
    settings = resolve_settings(None, given, {}).settings
    assert (settings.open, settings.host, settings.deadline_s) == (True, "0.0.0.0", 1.5)


@pytest.mark.parametrize(
    ("environment", "says"),
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
def test_a_bad_variable_is_refused_by_its_name(environment: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        resolve_settings(None, environment, {})
    assert says in str(refused.value)


def test_other_machines_are_let_in_with_keys_or_on_purpose_only() -> None:
    with pytest.raises(SettingsError, match="unless `keys` or `open` is set"):
        Settings.read(None, host="0.0.0.0")
    assert Settings.read(None, host="0.0.0.0", open=True).open
    assert Settings.read(None, host="0.0.0.0", keys="keys.toml").keys


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org", "localhost.example.org"])
def test_anything_else_is_not(host: str) -> None:
    assert not is_loopback(host)


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(SettingsError, match="both or neither"):
        Settings.read(None, tls_certificate="cert.pem")


def test_every_setting_is_described_and_named_in_one_way() -> None:
    assert [name for name, facts in describe_settings().items() if not facts.description] == []
    assert (to_variable("max_body_bytes"), to_flag("max_body_bytes")) == ("DANMATTE_MAX_BODY_BYTES", "--max-body-bytes")


def test_only_this_machine_is_listened_to_by_default() -> None:
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "says"),
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
    publish(tmp_path / "models")
    assert Settings().models_folder == Path("models")
    assert Settings(models="elsewhere").models_folder == Path("elsewhere")


def test_a_connection_may_stay_for_ever() -> None:
    assert Settings.read(None, connection_s="0").connection_s == 0


def test_what_the_projects_own_tests_are_told_stops_no_server() -> None:
    root, folders = Path(__file__).parents[2], ("tests/real", "tests/service/load", "scripts", ".ci")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix != ".pyc"]
    read = re.compile(r"environ(?:\.get\(|\[)\"(DANMATTE_[A-Z_]+)\"")
    told = {name for path in files if path.is_file() for name in read.findall(path.read_text(errors="ignore"))}
    assert "DANMATTE_SHARED" in told
    assert resolve_settings(None, dict.fromkeys(told, "1"), {}).origins == {}


def test_what_kubernetes_says_of_a_service_of_our_name_is_no_setting() -> None:
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


def test_services_of_names_like_ours_are_no_settings_either() -> None:
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
