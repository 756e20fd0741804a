"""What this machine has, and how much of it we may use."""

import math
import os
import platform
from pathlib import Path

from workbench.measurement import Host

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


def usable_cores() -> int:
    """Cores within the affinity mask and the cgroup quota; OpenVINO heeds only the former."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def host() -> Host:
    """Facts about this machine; what can't be read is empty or 0, never guessed."""
    described = _cpu()
    flags = set(described.get("flags", "").split())
    return Host(
        cpu=described.get("model name", platform.processor()),
        cores=usable_cores(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        features=tuple(feature for feature in FEATURES if feature in flags),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def _cpu() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _quota() -> float:
    """Cores granted by the control group, version 2 or 1; infinite where there is none."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text().strip()
            period = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return math.inf
    return math.inf if quota in ("max", "-1") else int(quota) / int(period)
