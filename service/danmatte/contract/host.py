"""What a measurement says about the machine that it was made on."""

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
    """Facts about this machine; what can't be read is empty or 0, never guessed."""
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
    """The machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def read_cpu(root: Path) -> dict[str, str]:
    """What the kernel says of the first processor, in /proc/cpuinfo."""
    lines = "\n".join(read_lines(root / "proc/cpuinfo")).split("\n\n")[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_flags(described: dict[str, str]) -> set[str]:
    """The instruction sets in what `read_cpu` found; the kernel calls them Features on ARM."""
    return set(described.get("flags", described.get("Features", "")).split())
