"""How many cores this process may really use, and how workers share them."""

import math
import os
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path


def available_cores(root: Path = Path("/")) -> int:
    """Cores by the affinity mask and the control groups' quota, at least 1.

    OpenVINO sees the mask and not the quota (openvinotoolkit/openvino issues), so a container with
    half a core would get a thread for every core of the host.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *(math.ceil(quota) for quota in _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Cores allowed by every control group above this process, of versions 1 and 2 (cgroups(7))."""
    for folder in _groups(root):
        limit = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        if len(limit) == 2 and all(word.isdecimal() for word in limit) and int(limit[1]):
            yield int(limit[0]) / int(limit[1])


def _groups(root: Path) -> Iterator[Path]:
    lines = _lines(root / "proc/self/cgroup")
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        parts = Path(path.lstrip("/")).parts
        yield from (mount.joinpath(*parts[:depth]) for depth in range(len(parts) + 1))


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def shares(count: int, root: Path = Path("/")) -> list[frozenset[int]]:
    """This process' CPUs in `count` disjoint parts of neighbours; empty ones when there are too few.

    Threads of one core come together, and cores of one socket and of one NUMA node, so that no two parts compete
    for either.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cpus) < count:
        return [frozenset()] * count
    cpus.sort(key=lambda cpu: _place(cpu, root))
    edges = [len(cpus) * part // count for part in range(count + 1)]
    return [frozenset(cpus[low:high]) for low, high in pairwise(edges)]


def portions(parts: Sequence[frozenset[int]], cores: int) -> list[int]:
    """How many of `cores`, which a quota may make fewer than the CPUs, each of the parts is to use, at least 1.

    An empty part is pinned to nothing, and so has room for all.
    """
    given = [1] * len(parts)
    for _ in range(cores - len(parts)):
        room = [(len(part) or cores) - count for part, count in zip(parts, given, strict=True)]
        given[room.index(max(room))] += max(room) > 0
    return given


def _place(cpu: int, root: Path) -> list[int]:
    """Socket, node, core and number; the kernel numbers second threads after all the first ones.

    A socket may have several nodes (AMD's NPS4, Intel's SNC), and cores of one need not be neighbours by number.
    """
    folder = root / f"sys/devices/system/cpu/cpu{cpu}"
    package, core = (
        _number(" ".join(_words(folder / "topology" / name))) for name in ("physical_package_id", "core_id")
    )
    node = min((_number(link.name.removeprefix("node")) for link in folder.glob("node[0-9]*")), default=0)
    return [package, node, core, cpu]


def _number(word: str) -> int:
    return int(word) if word.isdecimal() else 0
