"""The hardware of this machine, and how much of it this process may use."""

import dataclasses
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from danmatte.contract import host
from danmatte_workbench import hardware
from tests.workbench.facts import Clock

ALLOWED = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
V2, V1 = "sys/fs/cgroup", "sys/fs/cgroup/cpu"


def machine(root: Path, files: dict[str, str]) -> Path:
    """Return a file system with these files."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({f"{V2}/cpu.max": "50000 100000\n"}, 0.5),
        ({f"{V2}/cpu.max": "max 100000\n"}, None),
        ({f"{V1}/cpu.cfs_quota_us": "50000\n", f"{V1}/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({f"{V1}/cpu.cfs_quota_us": "-1\n", f"{V1}/cpu.cfs_period_us": "100000\n"}, None),
        ({f"{V2}/cpu.max": "0 100000\n"}, None),
        ({}, None),
    ],
)
def test_the_cpu_quota_of_the_control_group_is_read(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert hardware.describe_hardware(machine(tmp_path, files)).quota_cores == quota


def test_the_smallest_quota_of_nested_groups_applies(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "0::/pod/box/worker\n",
        f"{V2}/cpu.max": "max 100000\n",
        f"{V2}/pod/cpu.max": "30000 100000\n",
        f"{V2}/pod/box/cpu.max": "80000 100000\n",
        f"{V2}/pod/box/worker/cpu.max": "max 100000\n",
        f"{V2}/pod/other/cpu.max": "1000 100000\n",
    }
    assert hardware.describe_hardware(machine(tmp_path, files)).quota_cores == 0.3


def test_the_quota_of_version_1_groups_is_that_of_the_cpu_controller(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/other\n2:cpu,cpuacct:/job\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "25000\n",
        "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        f"{V1}/other/cpu.cfs_quota_us": "1000\n",
        f"{V1}/other/cpu.cfs_period_us": "100000\n",
    }
    assert hardware.describe_hardware(machine(tmp_path, files)).quota_cores == 0.25


def test_a_quota_limits_the_threads_and_is_given_as_the_reason(tmp_path: Path) -> None:
    limits = hardware.find_thread_limit(machine(tmp_path, {f"{V2}/cpu.max": "20000 100000\n"}))
    assert (limits.threads, str(limits)) == (1, "threads: 1, from the cgroup quota 0.2")


def test_a_part_of_a_core_counts_as_one_thread(tmp_path: Path) -> None:
    quota = ALLOWED - 0.5
    files = {f"{V2}/cpu.max": f"{round(quota * 100_000)} 100000\n"}
    assert hardware.find_thread_limit(machine(tmp_path, files)).threads == ALLOWED
    assert f"quota {quota:g}" in hardware.find_thread_limit(tmp_path).reason


def test_a_quota_beyond_the_cpus_changes_nothing(tmp_path: Path) -> None:
    limits = hardware.find_thread_limit(machine(tmp_path, {f"{V2}/cpu.max": "99900000 100000\n"}))
    assert limits.threads == ALLOWED
    assert "quota" not in limits.reason


@pytest.mark.skipif(ALLOWED < 2 or not hasattr(os, "sched_setaffinity"), reason="there is no smaller affinity mask")
def test_the_affinity_mask_limits_the_threads_and_is_given_as_the_reason(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from danmatte_workbench import hardware; print(hardware.find_thread_limit(pathlib.Path(sys.argv[1])))"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert printed.stdout.startswith("threads: 1, from the affinity mask (1 of ")


def test_sockets_physical_cores_and_numa_nodes_are_counted(tmp_path: Path) -> None:
    places = {0: (0, 0), 1: (0, 1), 2: (0, 0), 3: (0, 1), 4: (1, 0)}  # two threads a core on the first socket
    topology = "sys/devices/system/cpu/cpu{}/topology/{}"
    files = {topology.format(cpu, "physical_package_id"): f"{socket}\n" for cpu, (socket, _) in places.items()}
    files |= {topology.format(cpu, "core_id"): f"{core}\n" for cpu, (_, core) in places.items()}
    files |= {f"sys/devices/system/node/node{node}/cpulist": "" for node in range(2)}
    found = hardware.describe_hardware(machine(tmp_path, files))
    assert (found.sockets, found.physical_cores, found.numa_nodes) == (2, 3, 2)


@pytest.mark.parametrize(
    ("cpuinfo", "sets"),
    [
        ("model name\t: X\nflags\t\t: fpu avx512f avx2 amx_int8 made_up\n", ("avx2", "amx_int8", "avx512f")),
        ("Features\t: fp asimd i8mm\n", ("asimd", "i8mm")),
        ("", ()),
    ],
)
def test_instruction_sets_are_the_known_ones_that_the_kernel_lists(
    tmp_path: Path, cpuinfo: str, sets: tuple[str, ...]
) -> None:
    assert set(hardware.list_instruction_sets(machine(tmp_path, {"proc/cpuinfo": cpuinfo}))) == set(sets)


def test_unreadable_hardware_facts_are_empty(tmp_path: Path) -> None:
    found = hardware.describe_hardware(tmp_path)
    assert (found.sockets, found.physical_cores, found.numa_nodes, found.instruction_sets) == (0, 0, 0, ())
    assert found.threads == ALLOWED


def test_a_thread_limit_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        hardware.ThreadLimit(0, "nothing")


def test_the_description_of_the_host_has_plausible_values() -> None:
    facts = structs.asdict(hardware.describe_host())
    assert facts["cores"] == hardware.find_thread_limit().threads >= 1
    assert facts["memory_bytes"] > 2**20
    assert set(facts["features"]) <= set(host.FEATURES)
    assert facts["python"].startswith("3.")


def test_the_description_of_the_hardware_has_consistent_finite_values() -> None:
    found = dataclasses.asdict(hardware.describe_hardware())
    assert found["logical_cpus"] >= found["allowed_cpus"] >= found["threads"] >= 1
    assert all(math.isfinite(value) for value in found.values() if isinstance(value, float))


def write_ticks(root: Path, busy: int, idle: int) -> Path:
    return machine(root, {"proc/stat": f"cpu  {busy} 0 0 {idle} 7 0 0 0 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n"})


def test_the_load_meter_measures_the_cpu_time_of_other_processes(tmp_path: Path) -> None:
    meter = hardware.LoadMeter(write_ticks(tmp_path, busy=1000, idle=5000))
    assert meter.read_load() == 0
    write_ticks(tmp_path, busy=10**9, idle=5000)
    assert meter.read_load() == 1  # no more than all of it
    assert meter.seconds > 0


def test_the_load_meter_excludes_the_cpu_time_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, busy_s = Clock(), 10**6
    monkeypatch.setattr(hardware.time, "process_time", own)
    meter = hardware.LoadMeter(write_ticks(tmp_path, busy=0, idle=5000))
    write_ticks(tmp_path, busy=busy_s * os.sysconf("SC_CLK_TCK"), idle=5000)
    assert meter.read_load() == 1
    own.seconds = busy_s
    assert meter.read_load() == 0


def test_without_cpu_statistics_the_load_is_zero(tmp_path: Path) -> None:
    assert hardware.read_busy_s(tmp_path) == 0
    assert hardware.LoadMeter(tmp_path).read_load() == 0


def test_waiting_for_disks_does_not_count_as_busy_time(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    machine(tmp_path, {"proc/stat": f"cpu  {ticks} 0 {ticks} 999 888 0 0 {ticks} 0 0\n"})
    assert hardware.read_busy_s(tmp_path) == 3
