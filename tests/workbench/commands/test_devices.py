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


def test_devices_threads_and_instruction_sets_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--json", str(tmp_path / "devices.json")) == 0
    printed = capsys.readouterr().out
    assert "CPU" in printed
    assert "threads: " in printed
    assert "instruction sets: " in printed
    written = json.loads((tmp_path / "devices.json").read_text("utf-8"))
    assert "CPU" in [device["name"] for device in written["devices"]]
    assert written["hardware"]["threads"] >= 1


def test_a_usable_device_string_is_confirmed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("AUTO:CPU") == 0
    assert capsys.readouterr().out == "AUTO:CPU can be used\n"


def test_an_unknown_device_is_reported_with_the_nearest_name() -> None:
    with pytest.raises(MachineError, match=r"unknown device 'CUP'; did you mean 'CPU'\?"):
        run("CUP")
