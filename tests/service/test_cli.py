"""The command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from danmatte import cli
from danmatte.contract.manifest import describe_schema
from tests.service.serving import read_environment


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_error:
        cli.main(["--help"])
    assert exit_error.value.code == 0
    assert "serve" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["sreve"], ["serve", "--prot", "1"]])
def test_an_invalid_command_line_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_error:
        cli.main(arguments)
    assert exit_error.value.code == 2


def test_an_interrupt_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_schema", interrupt)
    assert cli.main(["schema"]) == 130
    assert capsys.readouterr().err == "interrupted; what was finished is kept\n"


@pytest.mark.parametrize("arguments", [["schema"], ["check-config"]], ids=["at the end", "at a line"])
def test_a_closed_output_pipe_is_not_reported_as_an_error(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)  # as `| head -1` does when it ends
    command = [sys.executable, "-m", "danmatte", *arguments]
    with os.fdopen(writing, "w") as stopped:
        ended = subprocess.run(command, check=False, stdout=stopped, stderr=subprocess.PIPE, env=read_environment())
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == describe_schema()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--models", "nowhere"], "nowhere: expected <name>/<version>/manifest.json"),
        (["--port", "70000"], "--port: Expected `int` <= 65535"),
        (["--port", "x"], "--port: Expected `int`"),
        (["--host", "0.0.0.0"], "unless `keys` or `open` is set"),
        (["--settings", "none.toml"], "none.toml"),
    ],
)
def test_invalid_settings_are_reported_with_exit_code_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    expected: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["serve", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("library", "arguments", "extra"),
    [
        ("grpc", ["--grpc-port", "5000"], "danmatte[grpc]"),
        ("opentelemetry.sdk.trace", ["--otlp-endpoint", "http://127.0.0.1:1", "--workers", "2"], "danmatte[tracing]"),
    ],
)
def test_a_setting_whose_extra_is_missing_names_it_and_exits_with_3(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    library: str,
    arguments: list[str],
    extra: str,
) -> None:
    for module in [name for name in sys.modules if name.startswith("danmatte.api.grpc.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    assert cli.main(["serve", "--models", str(models), *arguments]) == 3
    assert f"an optional dependency: pip install '{extra}'" in capsys.readouterr().err


def test_a_summary_that_cannot_be_written_is_reported(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there.mattes").touch()
    words = ["track", "any.mp4", "-o", str(tmp_path / "there.mattes"), "--models", str(models)]
    assert cli.main([*words, "--json", str(tmp_path / "there.mattes/x.json")]) == 2
    assert "--json: " in capsys.readouterr().err


def test_a_port_in_use_is_reported(models: Path, unused_tcp_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    import socket

    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        assert cli.main(["serve", "--models", str(models), "--port", str(unused_tcp_port)]) == 2
    assert f"127.0.0.1:{unused_tcp_port}" in capsys.readouterr().err


def test_settings_are_read_from_the_environment_and_flags(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DANMATTE_MODELS", str(models))
    assert cli.main(["check-config", "--port", "0"]) == 0
    output = capsys.readouterr().out
    assert f'models = "{models}"  # DANMATTE_MODELS' in output
    assert "port = 0  # --port" in output


def test_check_health_fails_without_a_server() -> None:
    assert cli.main(["check-health", "--url", "http://127.0.0.1:1"]) == 1
