"""What this machine has, and how much of it we may use."""

import dataclasses
import math
import os
from pathlib import Path

import pytest

from workbench import hardware


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"/sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        (
            {
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        ({"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_control_groups_quota_is_heeded(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], cores: float
) -> None:
    def read(path: Path, *_: object, **__: object) -> str:
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(Path, "read_text", read)
    assert hardware._quota() == cores


@pytest.mark.parametrize(("quota", "cores"), [(0.2, 1), (1.5, 2), (math.inf, 3)])
def test_usable_cores_are_whole_and_at_least_one(monkeypatch: pytest.MonkeyPatch, quota: float, cores: int) -> None:
    monkeypatch.setattr(hardware, "_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert hardware.usable_cores() == cores


def test_the_host_is_described_by_facts() -> None:
    facts = dataclasses.asdict(hardware.host())
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 2**20
    assert set(facts["features"]) <= set(hardware.FEATURES)
    assert facts["python"].startswith("3.")
