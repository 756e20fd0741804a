"""The CPU cores that this process may use, and their distribution among workers."""

import math
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

ROOT = Path("/")


def count_cores(root: Path = ROOT) -> int:
    """Return the number of cores by the affinity mask and the control groups' quota, at least 1, rounded up.

    OpenVINO considers the mask but not the quota (openvinotoolkit/openvino issues), so in a container with half a core
    it would start a thread for every core of the host.
    """
    allowed, quota = len(list_cpus()), read_quota(root)
    return allowed if quota >= allowed else max(1, math.ceil(quota))


def list_cpus() -> list[int]:
    """Return the CPUs that this process may run on by its affinity mask, sorted."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def read_quota(root: Path = ROOT) -> float:
    """Return the quota in cores of the strictest control group of this process, version 2 or 1; infinite without."""
    quotas = []
    for folder in _list_groups(root):
        limit = " ".join(read_lines(folder / "cpu.max")).split()
        if not limit:
            limit = read_lines(folder / "cpu.cfs_quota_us") + read_lines(folder / "cpu.cfs_period_us")
        if len(limit) == 2 and all(word.isdecimal() and int(word) for word in limit):
            quotas.append(int(limit[0]) / int(limit[1]))
    return min(quotas, default=math.inf)


def _list_groups(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's groups and their ancestors, whose limits apply as well; cgroups(7).

    In a container, the path may be that of the host. Then, only the folder of the mount itself exists.
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
    """Return the lines of one of the kernel's files; none if it can't be read."""
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def split_cpus(count: int, root: Path = ROOT) -> list[frozenset[int]]:
    """Split this process's CPUs into `count` disjoint parts of neighbours; all parts are empty if there are too few.

    Hardware threads of one core are kept together, and so are the cores of a socket and of a NUMA node, so that the
    parts compete for them as little as possible.
    """
    cpus = list_cpus() if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < count:
        return [frozenset()] * count
    cpus.sort(key=lambda cpu: _find_place(cpu, root))
    edges = [len(cpus) * part // count for part in range(count + 1)]
    return [frozenset(cpus[low:high]) for low, high in pairwise(edges)]


def _find_place(cpu: int, root: Path) -> list[int]:
    """Return a CPU's sort key: socket, NUMA node, core and number.

    The kernel numbers the second threads of all cores after the first ones. A socket may have several NUMA nodes (AMD's
    NPS4, Intel's SNC), whose cores don't always have consecutive numbers.
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
    """Return how many of `cores` each of the parts should use, at least 1.

    A quota may make `cores` fewer than the CPUs of all parts. An empty part isn't pinned, so it may use all cores.
    """
    given = [1] * len(parts)
    for _ in range(cores - len(parts)):
        room = [(len(part) or cores) - count for part, count in zip(parts, given, strict=True)]
        given[room.index(max(room))] += max(room) > 0
    return given
