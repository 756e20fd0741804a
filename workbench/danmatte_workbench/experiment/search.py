"""The trials of a run and their order: a safe one first, then the most promising."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from danmatte.contract.configuration import Configuration, Precision
from danmatte.contract.cores import count_cores
from danmatte.contract.near_words import did_you_mean
from danmatte.contract.ports import PICTURE_SIDES
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.experiment.experience import sort_by_experience
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.hardware import describe_host
from danmatte_workbench.recipe import EFFORTS, EffortName, Recipe, read_recipe, read_recipes
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.isa_levels import find_highest, list_older
from danmatte_workbench.source import Source

WHOLE = "tensors"  # the meaning of recipes that work with any output
STRIDE = 16  # coarsest output stride of the networks: side modulo stride has to stay as in the source
NATIVE, PORTABLE = "native", "portable"
TARGETS = (NATIVE, PORTABLE)
RATIO = re.compile(r"(\d+):(\d+)")
SIZE = re.compile(r"(\d+)[xX×](\d+)")


@dataclass(frozen=True)
class Effort:
    """How much a search tries and how long it measures, within ``limit_s`` seconds.

    calibration, frames: maximum number of frames to calibrate on, and to compare on. All trials race for
    ``first_rounds`` rounds of ``round_s`` seconds each, the best ``finalists`` of them for ``rounds``. sweep_s: seconds
    for sweeping the winner's runtime settings; with 0, neither these nor older instruction sets are measured.
    """

    name: EffortName
    calibration: int
    frames: int
    rounds: int
    round_s: float
    limit_s: float = math.inf
    first_rounds: int = 3
    finalists: int = 4
    sweep_s: float = 0.0


LEVELS = {
    effort.name: effort
    for effort in (
        Effort("quick", calibration=32, frames=120, rounds=7, round_s=0.4, limit_s=200.0),
        Effort(
            "standard",
            calibration=1000,
            frames=400,
            rounds=15,
            round_s=0.6,
            limit_s=1800.0,
            finalists=6,
            sweep_s=240.0,
        ),
        Effort("thorough", calibration=4000, frames=2000, rounds=31, round_s=1.5, finalists=8, sweep_s=900.0),
    )
}


@dataclass(frozen=True)
class SearchOptions:
    """Options of a search besides its effort.

    size: (height, width) of an additional input size to try. recipes: names or patterns; if given, only these recipes
    are tried. target: the CPUs that the winner has to suit: this one only, or also older ones, whose instruction sets
    this CPU can be limited to.
    """

    device: str = "CPU"
    size: tuple[int, int] | None = None
    objective: str = "balanced"
    recipes: tuple[str, ...] = ()
    target: str = PORTABLE

    def __post_init__(self) -> None:
        if self.target not in TARGETS:
            hint = did_you_mean(self.target, TARGETS, listed=False)
            raise InputError(f"--for: expected {' or '.join(TARGETS)}, received {self.target}{hint}")

    @property
    def levels(self) -> tuple[str, ...]:
        """The instruction set levels under which the winner has to keep its accuracy, this CPU's own last.

        Empty on devices and machines that have no such levels.
        """
        own = find_highest() if self.device == "CPU" else None
        return (*(list_older() if self.target == PORTABLE else ()), own) if own else ()


def find_effort(name: str) -> Effort:
    """Return the effort of that name. Raises InputError, which lists the known ones, for any other name."""
    for effort in LEVELS.values():
        if effort.name == name:
            return effort
    hint = did_you_mean(name, EFFORTS, listed=False)
    raise InputError(f"--effort: expected one of {', '.join(EFFORTS)}, received {name}{hint}")


def propose_trials(source: Source, effort: Effort, options: SearchOptions) -> tuple[Trial, ...]:
    """Return the trials of that effort on this machine, in the order in which they are tried.

    Each recipe is tried in a configuration for latency and in one for throughput. The precision that is likely the best
    comes first with all recipes, then the others. Raises InputError for an unknown recipe.
    """
    recipes = choose_recipes(source, effort.name, options.recipes, options.levels)
    if effort.name == EFFORTS[0] and not options.recipes:
        recipes = sort_by_experience(recipes)  # because time may suffice only for the first few
    trials: list[Trial] = []
    # The precisions in which this CPU computes, the likely best first: bf16 if it has hardware for it.
    units = "amx_bf16" in describe_host().features
    known: tuple[Precision, ...] = ("bf16", "f32", "f16") if units else ("f32", "bf16", "f16")
    if effort.name == "quick" and not units:  # others would be slower, and leave less time for better recipes
        known = ("f32",)
    precisions = [name for name in known if name in openvino.list_precisions()]
    for size in dict.fromkeys((options.size, None)):
        for precision in precisions:
            for recipe in recipes:
                # For the layers that stay float in an 8-bit graph, bf16 is faster on some graphs and slower on others,
                # so both are tried; f16 in such graphs only at the thorough effort.
                rare = precision == "f16" and recipe.is_quantized and effort.name != "thorough"
                if rare or (size and recipe.has_own_size):
                    continue
                sized, canvas = (recipe.resize(size), None) if size else (recipe, source.size)
                trials += [Trial.propose(sized, item, canvas) for item in _list_configurations(options, precision)]
    # The first trials are tried even if there is hardly any time. A safe one among them makes a winner likely.
    safe = [item for item in trials if item.recipe.exact and item.canvas and item.configuration.precision == "f32"]
    return tuple(dict.fromkeys((*safe[:1], *trials)))


def choose_recipes(
    source: Source, effort: EffortName, patterns: Sequence[str] = (), levels: Sequence[str] = ()
) -> tuple[Recipe, ...]:
    """Return the recipes for this source at that effort; with ``patterns``, those that match, in the patterns' order.

    levels: the instruction sets that the winner has to suit; recipes for others only are left out unless a pattern
    matches them. A pattern may be the path of a recipe in a TOML file. Recipes that work with any output are allowed
    for every source, if their full name is given. Raises InputError for a pattern that matches nothing, for a recipe of
    another meaning, and for two recipes of the same name.
    """
    known = read_recipes(source)
    if not patterns:
        allowed = EFFORTS[: EFFORTS.index(effort) + 1]
        fitting = (item for item in known if item.meaning == source.meaning and item.effort in allowed)
        return tuple(item for item in fitting if item.suits(levels) and item.fits(source))
    chosen: dict[Recipe, None] = {}
    for pattern in patterns:
        if pattern.endswith(".toml"):
            found = [read_recipe(Path(pattern), source)]
        else:
            found = [
                item
                for item in known
                if item.name == pattern or (item.meaning == source.meaning and fnmatch(item.name, pattern))
            ]
        if not found:
            names = sorted(item.name for item in known)
            raise InputError(f"--recipe: no recipe is called {pattern}{did_you_mean(pattern, names)}")
        for item in found:
            if item.meaning not in (source.meaning, WHOLE):
                raise InputError(
                    f"--recipe: {item.name} is for graphs of the meaning {item.meaning}, but {source.name} has the "
                    f"meaning {source.meaning}"
                )
        chosen |= dict.fromkeys(found)
    for name, count in Counter(item.name for item in chosen).items():
        if count > 1:  # trials and their results are identified by these names
            raise InputError(f"--recipe: {count} different recipes are called {name}; give each a unique name")
    return tuple(chosen)


def parse_exact_size(text: str) -> tuple[int, int] | None:
    """Return (height, width) of ``WIDTHxHEIGHT``; None for anything else, such as a ratio.

    Raises InputError for a size that isn't allowed in a published version.
    """
    exact = SIZE.fullmatch(text)
    return _check_sides((int(exact[2]), int(exact[1])), text) if exact else None


def _check_sides(size: tuple[int, int], text: str) -> tuple[int, int]:
    if not all(side in PICTURE_SIDES for side in size):
        limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]}"
        raise InputError(f"--size: expected sides of {limits}, received {text}, which is {size[1]}x{size[0]}")
    return size


def parse_size(text: str, source: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of ``WIDTHxHEIGHT``, or of a ratio ``W:H`` with the source's longer side.

    With a ratio, the shorter side is rounded so that both sides have the same remainder modulo `STRIDE`: 16:9 with a
    longer side of 513 is (289, 513). Raises InputError for anything else.
    """
    if exact := parse_exact_size(text):
        return exact
    ratio = RATIO.fullmatch(text)
    if ratio is None or not int(ratio[1]) or not int(ratio[2]):
        raise InputError(f"--size: expected WIDTHxHEIGHT or a ratio such as 16:9, received {text}")
    wide, high = int(ratio[1]), int(ratio[2])
    longer, rest = max(source), max(source) % STRIDE
    shorter = round((longer * min(wide, high) / max(wide, high) - rest) / STRIDE) * STRIDE + rest
    return _check_sides((shorter, longer) if wide >= high else (longer, shorter), text)


def _list_configurations(options: SearchOptions, precision: Precision) -> tuple[Configuration, ...]:
    """Return a configuration for throughput and one for latency, the objective's own first.

    On devices other than CPU, OpenVINO's plugin chooses streams and threads.
    """
    cores = count_cores() if options.device == "CPU" else 0
    several = configure(options.device, "throughput", precision, cores, cores, 2 * cores)
    single = configure(options.device, "latency", precision, min(1, cores), cores, min(1, cores))
    return (single, several) if options.objective == "latency" else (several, single)
