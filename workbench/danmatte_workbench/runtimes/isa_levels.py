"""oneDNN's levels of instruction sets: those that this CPU supports, and those that a graph's kernels use."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from danmatte.contract.configuration import Precision
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench import hardware
from danmatte_workbench.errors import InputError

# Names of levels for ONEDNN_MAX_CPU_ISA, oldest first, and the CPU features that each requires in addition to the
# previous ones (oneDNN's documentation, "CPU Dispatcher Control"), by the kernel's names.
LEVELS: dict[str, frozenset[str]] = {
    "AVX2": frozenset({"avx2"}),
    "AVX2_VNNI": frozenset({"avx_vnni"}),
    "AVX512_CORE": frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq"}),
    "AVX512_CORE_VNNI": frozenset({"avx512_vnni"}),
    "AVX512_CORE_BF16": frozenset({"avx512_bf16"}),
    "AVX512_CORE_FP16": frozenset({"avx512_fp16"}),
    "AVX512_CORE_AMX": frozenset({"amx_tile", "amx_int8", "amx_bf16"}),
    "AVX512_CORE_AMX_FP16": frozenset({"amx_fp16"}),
}
USUAL = ("AVX2", "AVX512_CORE", "AVX512_CORE_VNNI", "AVX512_CORE_BF16", "AVX512_CORE_AMX")
SWITCH = "ONEDNN_MAX_CPU_ISA"  # the environment variable that hides newer levels from oneDNN
FIRST_WITH = {"bf16": "AVX512_CORE_BF16", "f16": "AVX512_CORE_FP16"}  # older CPUs compute in float32 instead
FAMILIES = ("sse41", "sse42", "avx", "avx2", "avx512", "amx")


def sort_levels(levels: Iterable[str]) -> list[str]:
    """Return the levels, oldest first. Raises InputError, with the nearest name, for an unknown one."""
    wanted = list(levels)
    for level in wanted:
        if level not in LEVELS:
            hint = did_you_mean(level.upper(), LEVELS, listed=False)
            raise InputError(f"instruction sets: expected some of {', '.join(LEVELS)}, received {level}{hint}")
    return sorted(wanted, key=list(LEVELS).index)


def list_missing(level: str, features: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the features that ``level`` requires and that this CPU, or one with ``features``, doesn't have."""
    return tuple(sorted(LEVELS[level] - set(hardware.list_instruction_sets() if features is None else features)))


def find_highest(features: Iterable[str] | None = None) -> str | None:
    """Return the newest level that this CPU, or one with ``features``, supports; a limit to it has no effect."""
    has = tuple(hardware.list_instruction_sets() if features is None else features)
    return next((level for level in reversed(LEVELS) if not list_missing(level, has)), None)


def list_older(features: Iterable[str] | None = None) -> tuple[str, ...]:
    """Return the usual levels that this CPU, or one with ``features``, can emulate instead of its own, oldest first."""
    has = tuple(hardware.list_instruction_sets() if features is None else features)
    own = find_highest(has)
    return tuple(level for level in USUAL if level != own and not list_missing(level, has))


def choose_precision(level: str, wanted: Precision) -> Precision:
    """Return the precision that a CPU of that level computes in if ``wanted`` is requested.

    It is float32 if the level doesn't support the wanted one. OpenVINO falls back itself on real CPUs, but ignores the
    switch that hides levels from oneDNN.
    """
    order = list(LEVELS)
    return wanted if order.index(level) >= order.index(FIRST_WITH.get(wanted, order[0])) else "f32"


def name_family(level: str) -> str:
    """Return the word for that level in the names of kernels."""
    return "amx" if "AMX" in level else "avx512" if "AVX512" in level else "avx2"


def is_within(kernel_family: str, level: str) -> bool:
    """Return whether a kernel of that family can run at ``level``."""
    return FAMILIES.index(kernel_family) <= FAMILIES.index(name_family(level))


@dataclass(frozen=True)
class Kernels:
    """Layers counted by the kernels that they use.

    heavy: convolutions and matrix products, by family of instruction sets.
    light: other layers, by family of instruction sets.
    names: heavy layers, by the kernel's full name.
    """

    heavy: Mapping[str, int]
    light: Mapping[str, int]
    names: Mapping[str, int]

    @property
    def newest(self) -> str:
        """The newest family among the heavy layers; empty if the plugin doesn't report it."""
        return max(self.heavy, key=FAMILIES.index, default="")

    def honours(self, level: str) -> bool:
        """Return whether the plugin reports the heavy layers' kernels, and none of them is newer than ``level``.

        Light layers don't count, because they take little of the time.
        """
        return bool(self.newest) and is_within(self.newest, level)

    def describe_newer(self, level: str) -> list[str]:
        """Return a description of the layers that use kernels newer than ``level``, one line each."""
        total = sum(self.heavy.values())
        heavy = {name: count for name, count in self.heavy.items() if not is_within(name, level)}
        light = {name: count for name, count in self.light.items() if not is_within(name, level)}
        heavy_lines = [f"limit ignored: {count} of {total} heavy layers use {name}" for name, count in heavy.items()]
        return heavy_lines + [f"{count} light layers still use {name}" for name, count in light.items()]
