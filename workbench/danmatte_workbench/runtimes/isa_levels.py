"""oneDNN's levels of instruction sets: which this CPU has, and which its kernels show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from danmatte.contract.configuration import Precision
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench import hardware
from danmatte_workbench.errors import InputError

# Names as ONEDNN_MAX_CPU_ISA takes them, oldest first, and what each asks of a CPU beyond those before it
# (oneDNN's documentation, "CPU Dispatcher Control"), as the kernel names it.
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
FIRST_WITH = {"bf16": "AVX512_CORE_BF16", "f16": "AVX512_CORE_FP16"}  # CPUs before compute in float32 instead
FAMILIES = ("sse41", "sse42", "avx", "avx2", "avx512", "amx")


def sort_levels(levels: Iterable[str]) -> list[str]:
    """The levels, oldest first. Raises InputError, with the nearest name, for one that isn't known."""
    wanted = list(levels)
    for level in wanted:
        if level not in LEVELS:
            hint = did_you_mean(level.upper(), LEVELS, listed=False)
            raise InputError(f"instruction sets: expected some of {', '.join(LEVELS)}, received {level}{hint}")
    return sorted(wanted, key=list(LEVELS).index)


def list_missing(level: str, features: Iterable[str] | None = None) -> tuple[str, ...]:
    """What ``level`` asks for that this CPU, or one with ``features``, hasn't."""
    return tuple(sorted(LEVELS[level] - set(hardware.list_instruction_sets() if features is None else features)))


def find_highest(features: Iterable[str] | None = None) -> str | None:
    """The newest level that this CPU, or one with ``features``, has: as good as no limit."""
    has = tuple(hardware.list_instruction_sets() if features is None else features)
    return next((level for level in reversed(LEVELS) if not list_missing(level, has)), None)


def list_older(features: Iterable[str] | None = None) -> tuple[str, ...]:
    """The usual levels that this CPU, or one with ``features``, can show in place of its own, oldest first."""
    has = tuple(hardware.list_instruction_sets() if features is None else features)
    own = find_highest(has)
    return tuple(level for level in USUAL if level != own and not list_missing(level, has))


def choose_precision(level: str, wanted: Precision) -> Precision:
    """What a CPU of that level computes in where ``wanted`` is asked of it: float32 where it has nothing else.

    OpenVINO falls back by itself there, but it doesn't heed the switch that hides levels from oneDNN.
    """
    order = list(LEVELS)
    return wanted if order.index(level) >= order.index(FIRST_WITH.get(wanted, order[0])) else "f32"


def name_family(level: str) -> str:
    """The word in the names of that level's kernels."""
    return "amx" if "AMX" in level else "avx512" if "AVX512" in level else "avx2"


def is_within(kernel_family: str, level: str) -> bool:
    """Whether a kernel of that family may run at ``level``."""
    return FAMILIES.index(kernel_family) <= FAMILIES.index(name_family(level))


@dataclass(frozen=True)
class Kernels:
    """Layers counted by what they run in: heavy ones (convolutions, products) and light ones by family of
    instruction sets, and heavy ones by the kernel's whole name."""

    heavy: Mapping[str, int]
    light: Mapping[str, int]
    names: Mapping[str, int]

    @property
    def newest(self) -> str:
        """The newest family among the heavy layers; empty where the plugin doesn't say."""
        return max(self.heavy, key=FAMILIES.index, default="")

    def honours(self, level: str) -> bool:
        """Whether the plugin names the heavy layers' kernels, and none of them is newer than ``level``.

        Light layers don't count: they take little of the time.
        """
        return bool(self.newest) and is_within(self.newest, level)

    def describe_newer(self, level: str) -> list[str]:
        """In words, the layers that run in something newer than ``level``."""
        total = sum(self.heavy.values())
        heavy = {name: count for name, count in self.heavy.items() if not is_within(name, level)}
        light = {name: count for name, count in self.light.items() if not is_within(name, level)}
        heavy_lines = [f"not heeded: {count} of {total} heavy layers run in {name}" for name, count in heavy.items()]
        return heavy_lines + [f"{count} light layers stay in {name}" for name, count in light.items()]
