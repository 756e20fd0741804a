"""How many CPU cores this process may really use, and how workers share them."""

import math
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path("/")


def count_cores(root: Path = ROOT) -> int:
    """Cores by the affinity mask and the control groups' quota, at least 1; a part of a core counts as one.

    OpenVINO sees the mask and not the quota (openvinotoolkit/openvino issues), so a container with
    half a core would get a thread for every core of the host.
    """
    allowed, quota = len(list_cpus()), read_quota(root)
    return allowed if quota >= allowed else max(1, math.ceil(quota))


def list_cpus() -> list[int]:
    """The CPUs that this process may run on, by the affinity mask, in order."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def read_quota(root: Path = ROOT) -> float:
    """Cores granted by the strictest control group above this process, version 2 or 1; infinite where there is none."""
    quotas = []
    for folder in _list_groups(root):
        limit = " ".join(read_lines(folder / "cpu.max")).split()
        if not limit:
            limit = read_lines(folder / "cpu.cfs_quota_us") + read_lines(folder / "cpu.cfs_period_us")
        if len(limit) == 2 and all(word.isdecimal() and int(word) for word in limit):
            quotas.append(int(limit[0]) / int(limit[1]))
    return min(quotas, default=math.inf)


def _list_groups(root: Path) -> Iterator[Path]:
    """The folders of this process' groups and of all above them, cgroups(7); a group's limit binds those below it.

    In a container the path may be the host's, where only the mount's own folder is to be seen.
    """
    for line in read_lines(root / "proc/self/cgroup") or ("0::/", "1:cpu:/"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number != "0" and "cpu" not in controllers.split(","):
            continue
        mounts = ("", "unified") if number == "0" else ("cpu", "cpu,cpuacct")
        for mount in mounts:
            parts = Path(path.lstrip("/")).parts
            top = root / "sys/fs/cgroup" / mount
            yield from (top.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def read_lines(file: Path) -> list[str]:
    """The lines of one of the kernel's files; none where it can't be read."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def split_cpus(count: int, root: Path = ROOT) -> list[frozenset[int]]:
    """This process' CPUs in `count` disjoint parts of neighbours; empty ones when there are too few.

    Threads of one core come together, and cores of one socket and of one NUMA node, so that no two parts compete
    for either.
    """
    cpus = list_cpus() if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < count:
        return [frozenset()] * count
    cpus.sort(key=lambda cpu: _find_place(cpu, root))
    edges = [len(cpus) * part // count for part in range(count + 1)]
    return [frozenset(cpus[low:high]) for low, high in pairwise(edges)]


def _find_place(cpu: int, root: Path) -> list[int]:
    """Socket, node, core and number; the kernel numbers second threads after all the first ones.

    A socket may have several nodes (AMD's NPS4, Intel's SNC), and cores of one need not be neighbours by number.
    """

    def number(word: str) -> int:
        return int(word) if word.isdecimal() else 0

    folder = root / f"sys/devices/system/cpu/cpu{cpu}"
    socket, core = (
        number("".join(read_lines(folder / "topology" / name)[:1])) for name in ("physical_package_id", "core_id")
    )
    node = min((number(link.name.removeprefix("node")) for link in folder.glob("node[0-9]*")), default=0)
    return [socket, node, core, cpu]


def apportion_cores(parts: Sequence[frozenset[int]], cores: int) -> list[int]:
    """How many of `cores`, which a quota may make fewer than the CPUs, each of the parts is to use, at least 1.

    An empty part is pinned to nothing, and so has room for all.
    """
    given = [1] * len(parts)
    for _ in range(cores - len(parts)):
        room = [(len(part) or cores) - count for part, count in zip(parts, given, strict=True)]
        given[room.index(max(room))] += max(room) > 0
    return given
