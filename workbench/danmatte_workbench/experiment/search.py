"""Which trials there are, and in which order: something safe, then the most promising first."""

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

WHOLE = "tensors"  # the meaning of recipes that take any answer as it is
STRIDE = 16  # the coarsest that networks are trained at: sides are a multiple of it and what remains of the source's
NATIVE, PORTABLE = "native", "portable"
TARGETS = (NATIVE, PORTABLE)
RATIO = re.compile(r"(\d+):(\d+)")
SIZE = re.compile(r"(\d+)[xX×](\d+)")


@dataclass(frozen=True)
class Effort:
    """How much is tried and how long it is measured, within ``limit_s`` seconds.

    calibration, frames: how many to calibrate on and to compare. All trials race for ``first_rounds`` rounds of
    ``round_s`` seconds each, the best ``finalists`` of them for ``rounds``. sweep_s: seconds for the winner's
    run-time choices; none, and no instruction sets, where it is 0.
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
    """What a user asks of the search beside its effort.

    size: (height, width) of an input that is to be tried, too. recipes: names or patterns; given, they alone are tried.
    target: the CPUs that the winner is for: this one, or every one whose instruction sets this one can show.
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
        """The levels of instruction sets that the winner is to keep its accuracy under, this CPU's own last.

        Empty on devices and machines without any.
        """
        own = find_highest() if self.device == "CPU" else None
        return (*(list_older() if self.target == PORTABLE else ()), own) if own else ()


def find_effort(name: str) -> Effort:
    """The effort of that name. Raises InputError that lists the known ones."""
    for effort in LEVELS.values():
        if effort.name == name:
            return effort
    hint = did_you_mean(name, EFFORTS, listed=False)
    raise InputError(f"--effort: expected one of {', '.join(EFFORTS)}, received {name}{hint}")


def propose_trials(source: Source, effort: Effort, options: SearchOptions) -> tuple[Trial, ...]:
    """The trials of that effort on this machine, in their order.

    Each recipe comes as it answers soonest and as it answers most; all in the likely best precision before any in
    others. Raises InputError for a recipe that isn't there.
    """
    recipes = choose_recipes(source, effort.name, options.recipes, options.levels)
    if effort.name == EFFORTS[0] and not options.recipes:
        recipes = sort_by_experience(recipes)  # what there is time for should be what is surest to win
    trials: list[Trial] = []
    # Those that this CPU computes in, the likely best first: bf16 where there are units for it.
    units = "amx_bf16" in describe_host().features
    known: tuple[Precision, ...] = ("bf16", "f32", "f16") if units else ("f32", "bf16", "f16")
    if effort.name == "quick" and not units:  # the others would be slower, and take the time of better recipes
        known = ("f32",)
    precisions = [name for name in known if name in openvino.list_precisions()]
    for size in dict.fromkeys((options.size, None)):
        for precision in precisions:
            for recipe in recipes:
                # What stays float in a graph of 8 bits gains by bf16 on some graphs and loses on others, so both are
                # tried; f16 in such graphs only where everything is.
                rare = precision == "f16" and recipe.is_quantized and effort.name != "thorough"
                if rare or (size and recipe.has_own_size):
                    continue
                sized, canvas = (recipe.resize(size), None) if size else (recipe, source.size)
                trials += [Trial.propose(sized, item, canvas) for item in _list_configurations(options, precision)]
    # However little time there is, what comes first is tried: so that a short search, too, ends with a winner.
    safe = [item for item in trials if item.recipe.exact and item.canvas and item.configuration.precision == "f32"]
    return tuple(dict.fromkeys((*safe[:1], *trials)))


def choose_recipes(
    source: Source, effort: EffortName, patterns: Sequence[str] = (), levels: Sequence[str] = ()
) -> tuple[Recipe, ...]:
    """The recipes for such a source at that effort; with ``patterns``, those that they name, in the patterns' order.

    levels: the instruction sets that the winner is for; recipes for others only are left out unless they are named.
    A pattern may be the path of a recipe in a TOML file. Recipes that take any answer as it is suit every source, if
    they are named in full. Raises InputError for a pattern that names nothing, for a recipe of another meaning, and for
    two of one name.
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
                    f"--recipe: {item.name} is for graphs whose answer is {item.meaning}, and {source.name}'s is "
                    f"{source.meaning}"
                )
        chosen |= dict.fromkeys(found)
    for name, count in Counter(item.name for item in chosen).items():
        if count > 1:  # trials, and so their figures, go by the names
            raise InputError(f"--recipe: {count} different recipes are called {name}; give each a name of its own")
    return tuple(chosen)


def parse_exact_size(text: str) -> tuple[int, int] | None:
    """(height, width) of ``WIDTHxHEIGHT``; None for anything else, such as a ratio.

    Raises InputError for a size that no published version may have.
    """
    exact = SIZE.fullmatch(text)
    return _check_sides((int(exact[2]), int(exact[1])), text) if exact else None


def _check_sides(size: tuple[int, int], text: str) -> tuple[int, int]:
    if not all(side in PICTURE_SIDES for side in size):
        limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]}"
        raise InputError(f"--size: expected sides of {limits}, received {text}, which is {size[1]}x{size[0]}")
    return size


def parse_size(text: str, source: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of ``WIDTHxHEIGHT``, or of a ratio ``W:H`` of the source's longer side.

    A ratio's shorter side is brought to the grid that the longer one lies on: 16:9 of 513 is 289×513. Raises InputError
    for anything else.
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
    """What serves the objective first. On other devices the plugin knows better how many streams there are to be."""
    cores = count_cores() if options.device == "CPU" else 0
    several = configure(options.device, "throughput", precision, cores, cores, 2 * cores)
    single = configure(options.device, "latency", precision, min(1, cores), cores, min(1, cores))
    return (single, several) if options.objective == "latency" else (several, single)
