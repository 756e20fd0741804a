"""``workbench devices``: available and unavailable devices."""

import argparse
import json
from pathlib import Path

import pytest

from danmatte_workbench.commands import devices
from danmatte_workbench.errors import MachineError


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    devices.add(parser)
    return devices.run(parser.parse_args(words))


def test_devices_and_the_reason_for_the_threads_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--json", str(tmp_path / "devices.json")) == 0
    said = capsys.readouterr().out
    assert "CPU" in said
    assert "threads: " in said
    assert "instruction sets: " in said
    told = json.loads((tmp_path / "devices.json").read_text("utf-8"))
    assert "CPU" in [device["name"] for device in told["devices"]]
    assert told["hardware"]["threads"] >= 1


def test_a_device_string_that_can_be_used_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("AUTO:CPU") == 0
    assert capsys.readouterr().out == "AUTO:CPU can be used\n"


def test_a_device_that_is_not_there_is_the_machines_fault() -> None:
    with pytest.raises(MachineError, match=r"unknown device 'CUP'; did you mean 'CPU'\?"):
        run("CUP")
