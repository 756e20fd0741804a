"""What this machine has, and how much of it we may use."""

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from danmatte_workbench.measurement import Host

FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "amx_int8",
)
_OLDER = ("sse4_1", "sse4_2", "avx", "f16c", "fma")
_NEWER = ("avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx_vnni_int8", "avx_ne_convert", "amx_tile", "amx_fp16")
_ARM = ("asimd", "asimdhp", "asimddp", "sve", "i8mm", "bf16", "sme")
INSTRUCTION_SETS = (*_OLDER, *FEATURES, *_NEWER, *_ARM)  # what inference libraries choose their kernels by
ROOT = Path("/")


@dataclass(frozen=True)
class Limits:
    """How many threads to use, and what allows no more, in words."""

    threads: int
    reason: str

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"threads: expected at least 1. Received: {self.threads}")

    def __str__(self) -> str:
        return f"threads: {self.threads}, from {self.reason}"


@dataclass(frozen=True)
class Hardware:
    """A machine, and this process' share of it.

    logical_cpus: what the kernel schedules on, over ``physical_cores`` in ``sockets``. allowed_cpus: those in the
    affinity mask. quota_cores: the control groups' limit, None where there is none. What can't be read is 0 or empty.
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


def usable_cores(root: Path = ROOT) -> int:
    """Cores within the affinity mask and the control groups' quota; OpenVINO heeds only the former."""
    return limits(root).threads


def limits(root: Path = ROOT) -> Limits:
    """The threads that this process can really run at once, and what set their number."""
    allowed, logical = len(_allowed()), os.cpu_count() or 1
    quota = _quota(root)
    if quota < allowed:
        return Limits(max(1, math.ceil(quota)), f"the cgroup quota {quota:g}")
    if allowed < logical:
        return Limits(allowed, f"the affinity mask ({allowed} of {logical} CPUs)")
    cores = len(_cores(root))
    threads = f", {logical // cores} threads a core" if cores and logical > cores else ""
    return Limits(allowed, f"the machine's CPUs{threads}")


def host() -> Host:
    """Facts about this machine; what can't be read is empty or 0, never guessed."""
    described = _cpu(ROOT)
    flags = _flags(described)
    return Host(
        cpu=described.get("model name", platform.processor()),
        cores=usable_cores(),
        memory_bytes=_memory_bytes(),
        features=tuple(feature for feature in FEATURES if feature in flags),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def hardware(root: Path = ROOT) -> Hardware:
    """More than a measurement's host says: for reports, and for those who choose threads."""
    described, quota, found = _cpu(root), _quota(root), limits(root)
    cores = _cores(root)
    return Hardware(
        cpu=described.get("model name", platform.processor()),
        machine=platform.machine(),
        instruction_sets=instruction_sets(root),
        sockets=len({socket for socket, _ in cores}),
        physical_cores=len(cores),
        logical_cpus=os.cpu_count() or 1,
        numa_nodes=len(list((root / "sys/devices/system/node").glob("node[0-9]*"))),
        allowed_cpus=len(_allowed()),
        quota_cores=None if quota == math.inf else quota,
        threads=found.threads,
        threads_from=found.reason,
        memory_bytes=_memory_bytes(),
    )


def instruction_sets(root: Path = ROOT) -> tuple[str, ...]:
    """Those that this CPU has of the ones that inference kernels are written for, as the kernel names them."""
    flags = _flags(_cpu(root))
    return tuple(name for name in INSTRUCTION_SETS if name in flags)


def _allowed() -> set[int]:
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cpu(root: Path) -> dict[str, str]:
    """The first processor in /proc/cpuinfo."""
    lines = "\n".join(_lines(root / "proc/cpuinfo")).split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _flags(described: dict[str, str]) -> set[str]:
    return set(described.get("flags", described.get("Features", "")).split())


def _cores(root: Path) -> set[tuple[str, str]]:
    """Socket and core of every CPU that is online; threads of one core are the same one."""
    folders = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology")
    places = ((_lines(folder / "physical_package_id"), _lines(folder / "core_id")) for folder in folders)
    return {(socket[0], core[0]) for socket, core in places if socket and core}


def _quota(root: Path) -> float:
    """Cores granted by the strictest control group above this process, version 2 or 1; infinite where there is none."""
    return min(_quotas(root), default=math.inf)


def _quotas(root: Path) -> Iterator[float]:
    for folder in _groups(root):
        limit = " ".join(_lines(folder / "cpu.max")).split()
        if not limit:
            limit = _lines(folder / "cpu.cfs_quota_us") + _lines(folder / "cpu.cfs_period_us")
        if len(limit) == 2 and all(word.isdecimal() and int(word) for word in limit):
            yield int(limit[0]) / int(limit[1])


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process' groups and of all above them, cgroups(7); a group's limit binds those below it.

    In a container the path may be the host's, where only the mount's own folder is to be seen.
    """
    for line in _lines(root / "proc/self/cgroup") or ("0::/", "1:cpu:/"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        mounts = ("", "unified") if number == "0" else ("cpu", "cpu,cpuacct")
        for mount in mounts:
            parts = Path(path.lstrip("/")).parts
            top = root / "sys/fs/cgroup" / mount
            yield from (top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
