"""What is tried at which effort: something safe, then the most promising first."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from danmatte.contract.configuration import Configuration, Precision
from danmatte.contract.cores import count_cores
from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.hardware import host
from danmatte_workbench.recipe import RECIPES, Draft, read
from danmatte_workbench.runtimes import openvino

EFFORTS = ("quick", "standard", "thorough")
BASELINES = ("uncut", "uncut-int8")
SAFE = ("float", "uncut")  # the same arithmetic as the source's, so nearly every budget accepts what they make
TENSORS = ("uncut-int8", "tensors*", "uncut")  # for graphs whose answer isn't a mask: nothing is cut off
# Names and patterns of recipes, the most promising first; those that aren't there are left out.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "quick": ("int8-stride16", "int8-shrunk", "int8", "float"),
    "standard": (
        "int8-stride16",
        "int8-shrunk",
        "int8",
        "int8-stride16-*",
        "int8-pruned*-shrunk",
        "int8-pruned30",
        "int8-distilled*",
        "float",
        "int8-accurate",
        "int8-mixed",
        "int8-controlled",
    ),
    "thorough": (
        "int8-stride16",
        "int8-shrunk",
        "int8",
        "int8-stride16-*",
        "int8-pruned*",
        "int8-fused*",
        "int8-distilled*",
        "float",
        "int8-*",
    ),
}
RESIZING = frozenset({"reshape", "shrink"})
GRID = 16  # the coarsest stride that networks are trained at
RATIO = re.compile(r"(\d+):(\d+)")
SIZE = re.compile(r"(\d+)[xX×](\d+)")


@dataclass(frozen=True)
class Plan:
    """A recipe in one configuration; ``size``, (height, width), is that of the input where it isn't the source's."""

    recipe: str
    configuration: Configuration
    size: tuple[int, int] | None = None

    @property
    def cooked(self) -> str:
        """What the recipe makes at that size; plans that agree in it share a candidate."""
        return self.recipe if self.size is None else f"{self.recipe} {self.size[0]}x{self.size[1]}"

    @property
    def name(self) -> str:
        """Recipe, precision and hint, as the report shows it."""
        return f"{self.cooked} {self.configuration}"

    def draft(self) -> Draft:
        """The recipe as written, brought to ``size`` before it is quantized. Raises InputError where there is none."""
        draft = read(RECIPES / f"{self.recipe}.toml")
        if self.size is None:
            return draft
        steps = list(draft.steps)
        kinds = [kind for kind, _ in steps]
        place = kinds.index("quantize") if "quantize" in kinds else len(kinds)
        steps.insert(place, ("reshape", {"height": self.size[0], "width": self.size[1]}))
        return Draft(self.cooked.replace(" ", "-"), draft.about, tuple(steps))


@dataclass(frozen=True)
class Effort:
    """How much is tried and how long it is measured, within ``limit_s`` seconds.

    calibration, frames: how many to calibrate on and to compare. All contenders race for ``heat`` rounds of
    ``round_s`` seconds each, the best ``finalists`` of them for ``rounds``. sweep_s: seconds for the winner's
    run-time choices; none, and no instruction sets, where it is 0.
    """

    name: str
    plans: tuple[Plan, ...]
    calibration: int
    frames: int
    rounds: int
    round_s: float
    limit_s: float = math.inf
    heat: int = 3
    finalists: int = 4
    sweep_s: float = 0.0

    def only(self, plans: Iterable[Plan]) -> "Effort":
        """The same with other plans."""
        return replace(self, plans=tuple(plans))


@dataclass(frozen=True)
class Wish:
    """What is asked of the search beside its effort; ``meaning`` is the source's, ``size`` one to be tried, too.

    ``recipes`` are names or patterns; given, they alone are tried.
    """

    meaning: str = "person"
    device: str = "CPU"
    size: tuple[int, int] | None = None
    objective: str = "throughput"
    recipes: tuple[str, ...] = ()


def plan(effort: str, wish: Wish | None = None) -> Effort:
    """The trials of that effort on this machine."""
    if effort not in EFFORTS:
        hint = did_you_mean(effort, EFFORTS, listed=False)
        raise InputError(f"--effort: expected one of {', '.join(EFFORTS)}, received {effort}{hint}")
    wish = wish or Wish()
    patterns = wish.recipes or (CATEGORIES[effort] if wish.meaning == "person" else TENSORS)
    for pattern in wish.recipes:
        if not recipes((pattern,)):
            known = [path.stem for path in RECIPES.glob("*.toml")]
            raise InputError(f"--recipe: no recipe is called {pattern}{did_you_mean(pattern, sorted(known))}")
    plans = _safe_first(_plans(recipes(patterns), wish, everything=effort == "thorough"))
    if effort == "quick":
        return Effort(effort, plans, calibration=32, frames=120, rounds=7, round_s=0.4, limit_s=240.0)
    if effort == "standard":
        found = Effort(effort, plans, calibration=1000, frames=400, rounds=15, round_s=0.6)
        return replace(found, limit_s=1800.0, finalists=6, sweep_s=240.0)
    return Effort(effort, plans, calibration=4000, frames=2000, rounds=31, round_s=1.5, finalists=8, sweep_s=900.0)


def recipes(patterns: Sequence[str], folder: Path = RECIPES) -> tuple[str, ...]:
    """The recipes in the folder that a pattern names, in the patterns' order; the baselines' only by name."""
    names = sorted(path.stem for path in folder.glob("*.toml"))
    found = (name for pattern in patterns for name in names if fnmatch(name, pattern))
    return tuple(dict.fromkeys(name for name in found if name not in BASELINES or name in patterns))


def size_of(text: str, source: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of ``WIDTHxHEIGHT``, or of a ratio ``W:H`` of the source's longer side.

    A ratio's shorter side is brought to the grid that the longer one lies on: 16:9 of 513 is 289×513. Raises InputError
    for anything else.
    """
    if exact := SIZE.fullmatch(text):
        return int(exact[2]), int(exact[1])
    ratio = RATIO.fullmatch(text)
    if ratio is None or not int(ratio[1]) or not int(ratio[2]):
        raise InputError(f"--size: expected WIDTHxHEIGHT or a ratio such as 16:9, received {text}")
    wide, high = int(ratio[1]), int(ratio[2])
    longer, rest = max(source), max(source) % GRID
    shorter = round((longer * min(wide, high) / max(wide, high) - rest) / GRID) * GRID + rest
    return (shorter, longer) if wide >= high else (longer, shorter)


def _precisions() -> tuple[Precision, ...]:
    """Those that this CPU computes in, the likely best first: bf16 where there are units for it."""
    units = "amx_bf16" in host().features
    known: tuple[Precision, ...] = ("bf16", "f32", "f16") if units else ("f32", "bf16", "f16")
    return tuple(name for name in known if name in openvino.list_precisions())


def _plans(names: Sequence[str], wish: Wish, *, everything: bool) -> tuple[Plan, ...]:
    """Each recipe as it answers soonest and as it answers most; all in the likely best precision before any in others.

    What stays float in a graph of 8 bits gains by bf16 on some graphs and loses on others, so both are tried; f16 in
    such graphs only where everything is.
    """
    plans = []
    for size in dict.fromkeys((wish.size, None)):
        for precision in _precisions():
            for name in names:
                own_size = any(kind in RESIZING for kind, _ in read(RECIPES / f"{name}.toml").steps)
                if (size and own_size) or (precision == "f16" and "int8" in name and not everything):
                    continue
                plans += [Plan(name, item, size) for item in _configurations(wish, precision)]
    return tuple(plans)


def _safe_first(plans: tuple[Plan, ...]) -> tuple[Plan, ...]:
    """However little time there is, what comes first is tried: so that a short search, too, ends with a winner."""
    safe = [item for item in plans if item.recipe in SAFE and not item.size and item.configuration.precision == "f32"]
    return tuple(dict.fromkeys((*safe[:1], *plans)))


def _configurations(wish: Wish, precision: Precision) -> tuple[Configuration, ...]:
    """What serves the objective first. On other devices the plugin knows better how many streams there are to be."""
    cores = count_cores() if wish.device == "CPU" else 0
    several = configure(wish.device, "throughput", precision, cores, cores, 2 * cores)
    single = configure(wish.device, "latency", precision, min(1, cores), cores, min(1, cores))
    return (single, several) if wish.objective == "latency" else (several, single)
