"""Cores by affinity and quota, on simulated machines."""

import os
from pathlib import Path

import pytest

from danmatte.contract.cores import apportion_cores, count_cores, split_cpus


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def write(root: Path, files: dict[str, str]) -> Path:
    """Write a machine's files, and return their root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "400000 100000\n"}, 4),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n4:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1600000 100000\n"}, 8),
        ({"proc/self/cgroup": "rubbish\n0::/\n", "sys/fs/cgroup/cpu.max": "rubbish\n"}, 8),
    ],
)
def test_the_number_of_cores_is_the_tightest_of_affinity_and_quotas(
    tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    assert count_cores(write(tmp_path, files)) == expected


def test_this_machine_has_at_least_one_core() -> None:
    assert count_cores() >= 1


def test_workers_get_disjoint_sets_that_cover_all_cores(tmp_path: Path) -> None:
    parts = split_cpus(3, tmp_path)
    assert [len(part) for part in parts] == [2, 3, 3]
    assert frozenset().union(*parts) == frozenset(range(8))


def test_hyperthreads_of_a_core_go_to_the_same_worker(tmp_path: Path) -> None:
    topology = {f"sys/devices/system/cpu/cpu{cpu}/topology/core_id": f"{cpu % 4}\n" for cpu in range(8)}
    assert split_cpus(4, write(tmp_path, topology)) == [frozenset({core, core + 4}) for core in range(4)]


def test_no_worker_is_pinned_if_workers_outnumber_cores(tmp_path: Path) -> None:
    assert split_cpus(9, tmp_path) == [frozenset()] * 9


def test_numa_nodes_are_not_split_although_their_cores_are_interleaved(tmp_path: Path) -> None:
    for cpu in range(8):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}"
        write(folder, {"topology/physical_package_id": "0\n", "topology/core_id": f"{cpu}\n"})
        (folder / f"node{cpu % 2}").symlink_to(tmp_path)
    assert split_cpus(2, tmp_path) == [frozenset({0, 2, 4, 6}), frozenset({1, 3, 5, 7})]


@pytest.mark.parametrize(
    ("cpus", "workers", "cores", "expected"),
    [
        (3, 2, 3, [1, 2]),
        (7, 4, 7, [1, 2, 2, 2]),
        (8, 2, 8, [4, 4]),
        (8, 3, 4, [1, 2, 1]),  # a quota of four
        (8, 5, 7, [1, 2, 1, 2, 1]),
        (8, 4, 1, [1, 1, 1, 1]),
        (2, 3, 2, [1, 1, 1]),  # no worker is pinned
    ],
)
def test_pinned_workers_use_their_cores_within_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: int, workers: int, cores: int, expected: list[int]
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    parts = split_cpus(workers, tmp_path)
    assert apportion_cores(parts, cores) == expected
    assert all(used <= (len(part) or 1) for used, part in zip(expected, parts, strict=True))


def test_unpinned_workers_share_the_cores() -> None:
    assert apportion_cores([frozenset()] * 3, 8) == [3, 3, 2]
