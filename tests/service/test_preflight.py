"""What `check-config` prints, and what it conceals."""

import asyncio
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from danmatte.app import build
from danmatte.engine import FakeEngine
from danmatte.errors import SettingsError
from danmatte.preflight import check_settings
from danmatte.settings import Settings, describe_settings, resolve_settings
from tests.service.toy import publish


def list_lines(environment: dict[str, str], **flags: str) -> list[str]:
    """Return the printed lines."""
    return list(check_settings(resolve_settings(None, environment, flags)))


def test_every_setting_is_printed_with_its_origin(models: Path) -> None:
    lines = list_lines({"DANMATTE_MODELS": str(models)}, port="9001")
    assert [line.split(" = ")[0] for line in lines[: len(describe_settings())]] == list(describe_settings())
    assert "port = 9001  # --port" in lines
    assert 'host = "127.0.0.1"  # default' in lines
    assert "# toy/1: good" in lines


def test_secrets_are_not_printed(models: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    keys = tmp_path / "keys.toml"
    keys.write_text(f'player = "sha256:{digest}"\n')
    where = "https://user:hunter2@collector:4318/v1"
    text = "\n".join(list_lines({"DANMATTE_MODELS": str(models)}, keys=str(keys), otlp_endpoint=where))
    assert str(keys) in text
    assert digest not in text
    assert "hunter2" not in text
    assert "https://…@collector:4318/v1" in text


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"models": "nowhere"}, "nowhere: expected <name>/<version>/manifest.json"),
        ({"model": "none"}, "of a model named 'none'"),
        ({"keys": "nowhere.toml"}, "nowhere.toml"),
        ({"tls_certificate": "nowhere.pem", "tls_key": "nowhere.pem"}, "expected a PEM certificate"),
    ],
)
def test_settings_that_would_stop_the_server_are_reported(models: Path, flags: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        list_lines({}, **({"models": str(models)} | flags))


def run_check(**flags: str) -> tuple[list[str], str]:
    """Return the lines about models, and the error that would stop the server."""
    lines: list[str] = []
    try:
        for line in check_settings(resolve_settings(None, {}, flags)):
            lines += [line] * line.startswith("# ")
    except SettingsError as error:
        return lines, str(error)
    return lines, ""


def start_server(**flags: str) -> str:
    """Return the error that stops a real server with these settings, except for a port in use."""
    open_engine = None if "cache" in flags else lambda found: FakeEngine(found.manifest)

    async def start() -> None:
        runner = web.AppRunner(build(Settings.read(None, **flags), open_engine))
        try:
            await runner.setup()
        finally:
            await runner.cleanup()

    try:
        asyncio.run(start())
    except SettingsError as error:
        return str(error)
    return ""


BROKEN = "broken"  # instead of a policy, the newest graph is broken


@pytest.mark.parametrize(
    ("policies", "model", "stopped", "expected"),
    [
        ({"a": ""}, "", "", "# a/2: good"),
        ({"a": "enabled = false"}, "", "was unloaded", "# a: unloaded"),
        ({"a": "enabled = false", "b": ""}, "", "", "# a: unloaded"),
        ({"a": "enabled = false", "b": ""}, "a", "was unloaded", "# b/2: good"),
        ({"a": "", "b": ""}, "", "several models (a, b)", "# b/2: good"),
        ({"a": "", "b": ""}, "b", "", "# a/2: good"),
        ({"a": "pin = 3"}, "", "", "# a: a/3: there is no such version"),
        ({"a": "pin = 3\ncanary = {version = 2, share = 0.5}"}, "", "", "# a/1: good"),
        ({"a": "canary = {version = 2, share = 0.5}\npin = 1"}, "", "", "# a/2: good"),
        ({"a": "pin = 'x'"}, "", "serving.toml", "serving.toml"),
        ({"a": BROKEN}, "", "", "graph.bin"),
        ({"a": BROKEN, "b": "enabled = false"}, "a", "", "# b/2: good"),
    ],
)
def test_the_check_reports_the_same_error_as_the_server(
    tmp_path: Path, policies: dict[str, str], model: str, stopped: str, expected: str
) -> None:
    for name, policy in policies.items():
        folders = [publish(tmp_path, name=name, version=version) for version in (1, 2)]
        if policy == BROKEN:
            (folders[1] / "graph.bin").write_bytes(b"broken")
        elif policy:
            (tmp_path / name / "serving.toml").write_text(policy)
    lines, error = run_check(models=str(tmp_path), model=model)
    assert error == start_server(models=str(tmp_path), model=model)
    assert stopped in error
    assert bool(stopped) == bool(error)
    assert any(expected in line for line in lines), lines


def test_an_invalid_policy_is_an_error_of_the_check_even_if_the_server_starts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        publish(tmp_path, name=name)
    (tmp_path / "b" / "serving.toml").write_text("pin = 'x'")
    lines, error = run_check(models=str(tmp_path), model="a")
    assert "b/serving.toml: Expected `int | null`" in error
    assert any("the model is not served" in line for line in lines)
    assert start_server(models=str(tmp_path), model="a") == ""
    assert not list(tmp_path.glob("*/.serving*"))


def test_a_broken_pinned_version_is_an_error_if_it_is_the_oldest(tmp_path: Path) -> None:
    (publish(tmp_path, version=1) / "graph.bin").write_bytes(b"broken")
    publish(tmp_path, version=2)
    (tmp_path / "toy" / "serving.toml").write_text("pin = 1")
    lines, error = run_check(models=str(tmp_path))
    assert "toy/1" in error
    assert error == start_server(models=str(tmp_path))
    assert "# toy/2: good" in lines


def test_a_bad_version_that_is_opened_only_on_demand_is_reported(tmp_path: Path) -> None:
    (publish(tmp_path, version=1) / "graph.bin").write_bytes(b"broken")
    publish(tmp_path, version=2)
    lines, error = run_check(models=str(tmp_path))
    assert error == ""
    assert any(line.startswith("# toy/1: ") and "graph.bin" in line for line in lines), lines


@pytest.mark.parametrize(
    ("library", "flags"),
    [
        ("grpc", {"grpc_port": "50051"}),
        ("opentelemetry.sdk.trace", {"otlp_endpoint": "http://127.0.0.1:4318"}),
    ],
)
def test_a_missing_extra_is_reported_as_by_the_server(
    models: Path, monkeypatch: pytest.MonkeyPatch, library: str, flags: dict[str, str]
) -> None:
    given = {"models": str(models)} | flags
    assert run_check(**given)[1] == ""
    for module in [name for name in sys.modules if name.startswith("danmatte.api.grpc.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    error = run_check(**given)[1]
    assert "an optional dependency: pip install" in error
    assert error == start_server(**given)


def test_an_unusable_cache_is_reported_as_by_the_server(models: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for folder in ("file", "file/below", "open"):
        given = {"models": str(models), "cache": str(tmp_path / folder)}
        error = run_check(**given)[1]
        assert folder in error
        assert error == start_server(**given)


def test_the_check_does_not_create_the_cache_folder(models: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o700)
    for folder in ("there", "new/newer", "there/new"):
        assert run_check(models=str(models), cache=str(tmp_path / folder))[1] == ""
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_the_health_check_imports_no_engine() -> None:
    code = "import sys, danmatte.preflight; print(*{'openvino', 'grpc', 'opentelemetry'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""
