"""The description of the machine that a measurement was made on."""

import os
import platform
from pathlib import Path

from danmatte.contract.cores import ROOT, count_cores, read_lines
from danmatte.contract.measurement import Host

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


def describe_host() -> Host:
    """Return a description of this machine; a fact that can't be read is empty or 0, never guessed."""
    described = read_cpu(ROOT)
    flags = read_flags(described)
    return Host(
        cpu=described.get("model name", platform.processor()),
        cores=count_cores(),
        memory_bytes=read_memory_bytes(),
        features=tuple(feature for feature in FEATURES if feature in flags),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def read_memory_bytes() -> int:
    """Return the machine's physical memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_cpu(root: Path) -> dict[str, str]:
    """Return the fields of the first processor in /proc/cpuinfo."""
    lines = "\n".join(read_lines(root / "proc/cpuinfo")).split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_flags(described: dict[str, str]) -> set[str]:
    """Return the instruction sets among the fields of `read_cpu`; on ARM the kernel calls them Features."""
    return set(described.get("flags", described.get("Features", "")).split())
