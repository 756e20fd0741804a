"""The hardware of this machine, and how much of it this process may use."""

import math
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from danmatte.contract.cores import ROOT, count_cores, list_cpus, read_lines, read_quota
from danmatte.contract.host import FEATURES as FEATURES
from danmatte.contract.host import describe_host as describe_host
from danmatte.contract.host import read_cpu, read_flags, read_memory_bytes

_OLDER = ("sse4_1", "sse4_2", "avx", "f16c", "fma")
_NEWER = ("avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx_vnni_int8", "avx_ne_convert", "amx_tile", "amx_fp16")
_ARM = ("asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16", "sme")
INSTRUCTION_SETS = (*_OLDER, *FEATURES, *_NEWER, *_ARM)  # those by which inference libraries choose their kernels


@dataclass(frozen=True)
class ThreadLimit:
    """The number of threads to use, and the reason why it isn't higher, in words."""

    threads: int
    reason: str

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads: expected at least 1. Received: {self.threads}")

    def __str__(self) -> str:
        return f"threads: {self.threads}, from {self.reason}"


@dataclass(frozen=True)
class Hardware:
    """A machine, and the share of it that this process may use.

    logical_cpus: the CPUs that the kernel schedules on, over ``physical_cores`` in ``sockets``.
    allowed_cpus: the CPUs in the affinity mask.
    quota_cores: the limit set by control groups; None without a limit.

    Values that can't be read are 0 or empty.
    """

    cpu: str
    machine: str
    instruction_sets: tuple[str, ...]
    sockets: int
    physical_cores: int
    logical_cpus: int
    numa_nodes: int
    allowed_cpus: int
    quota_cores: float | None
    threads: int
    threads_from: str
    memory_bytes: int


def find_thread_limit(root: Path = ROOT) -> ThreadLimit:
    """Return the number of threads that this process can run at once, and what limits it."""
    allowed, logical = len(list_cpus()), os.cpu_count() or 1
    quota = read_quota(root)
    if quota < allowed:
        return ThreadLimit(count_cores(root), f"the cgroup quota {quota:g}")
    if allowed < logical:
        return ThreadLimit(allowed, f"the affinity mask ({allowed} of {logical} CPUs)")
    cores = len(_list_cores(root))
    threads = f", {logical // cores} threads a core" if cores and logical > cores else ""
    return ThreadLimit(allowed, f"the machine's CPUs{threads}")


def describe_hardware(root: Path = ROOT) -> Hardware:
    """Return a description of this machine for reports and for choosing threads.

    It is more detailed than the host facts of a measurement.
    """
    described, quota, found = read_cpu(root), read_quota(root), find_thread_limit(root)
    cores = _list_cores(root)
    return Hardware(
        cpu=described.get("model name", platform.processor()),
        machine=platform.machine(),
        instruction_sets=list_instruction_sets(root),
        sockets=len({socket for socket, _ in cores}),
        physical_cores=len(cores),
        logical_cpus=os.cpu_count() or 1,
        numa_nodes=len(list((root / "sys/devices/system/node").glob("node[0-9]*"))),
        allowed_cpus=len(list_cpus()),
        quota_cores=None if quota == math.inf else quota,
        threads=found.threads,
        threads_from=found.reason,
        memory_bytes=read_memory_bytes(),
    )


def list_instruction_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Return this CPU's instruction sets, by the kernel's names; only those that inference kernels use."""
    flags = read_flags(read_cpu(root))
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


class LoadMeter:
    """A stopwatch that also measures the CPU load caused by other processes, from the kernel's ticks (proc_stat(5)).

    Time taken by the hypervisor counts as load from others. Only this process' own CPU time doesn't.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._busy, self._own, self._started = read_busy_s(root), time.process_time(), time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def read_load(self) -> float:
        """Return the share of the machine's CPU time that others have used since the start.

        It is from 0 to 1, and 0 if it is unknown.
        """
        busy_s, own_s = read_busy_s(self._root) - self._busy, time.process_time() - self._own
        whole_s = self.seconds * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (busy_s - own_s) / whole_s)) if whole_s > 0 else 0.0


def read_busy_s(root: Path = ROOT) -> float:
    """Return the busy seconds of all CPUs together since boot; 0 if the kernel doesn't report them."""
    words = next((line.split() for line in read_lines(root / "proc/stat") if line.startswith("cpu ")), [])
    ticks = [int(word) for word in words[1:9] if word.isdecimal()]  # user nice system idle iowait irq softirq steal
    return (sum(ticks) - sum(ticks[3:5])) / os.sysconf("SC_CLK_TCK") if len(ticks) == 8 else 0.0


def _list_cores(root: Path) -> set[tuple[str, str]]:
    """Return (socket, core) of every CPU that is online; the threads of one core share one entry."""
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    places = ((read_lines(folder / "physical_package_id"), read_lines(folder / "core_id")) for folder in folders)
    return {(socket[0], core[0]) for socket, core in places if socket and core}
