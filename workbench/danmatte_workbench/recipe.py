"""Recipes: the steps that change a source graph, and what the search needs to know about them, as strict TOML.

A new recipe is one new file in ``recipes/`` and nothing else. The file's name has no meaning.
"""

import dataclasses
import hashlib
import json
import math
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, get_args

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes.isa_levels import sort_levels
from danmatte_workbench.source import Meaning, Source
from danmatte_workbench.steps import (
    Convert,
    Quantize,
    Recode,
    Reshape,
    Shrink,
    Step,
    StepContext,
    TakeStudent,
    make_step,
)
from danmatte_workbench.strict_toml import expect_keys, read_toml

RECIPES = Path(__file__).parent / "recipes"
EffortName = Literal["quick", "standard", "thorough"]
EFFORTS: tuple[EffortName, ...] = get_args(EffortName)


@dataclass(frozen=True)
class Recipe:
    """Steps for one source graph, and when to try them.

    about: its purpose, in a sentence.
    meaning: the sources that it is a candidate for, by what their output means.
    effort: the lowest effort at which it is tried, because of its cost.
    priority: recipes with a higher priority are tried earlier.
    source: the graph's digest.
    exact: whether the arithmetic stays the source's, so that nearly every budget accepts the result.
    baseline: the name under which every run shows it next to the source; empty if it is no baseline.
    instruction_sets: oneDNN's names of the levels that it is for; empty for all.
    """

    name: str
    about: str
    meaning: Meaning
    effort: EffortName
    priority: int
    source: str
    steps: tuple[Step, ...]
    exact: bool = False
    baseline: str = ""
    instruction_sets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError(f"recipe {self.name} has no steps")
        sort_levels(self.instruction_sets)

    @property
    def toolchain(self) -> dict[str, str]:
        """The versions of the libraries that the steps list, sorted by name."""
        libraries = {library for step in self.steps for library in step.libraries}
        return {library: _version(library) for library in sorted(libraries)}

    @property
    def digest(self) -> str:
        """The sha256 over the source, the steps with revisions and fields, and the toolchain; the name is left out."""
        steps = [[step.kind, step.revision, step.fields] for step in self.steps]
        facts = json.dumps([self.source, steps, self.toolchain], sort_keys=True, default=list)
        return hashlib.sha256(facts.encode()).hexdigest()

    @property
    def frames(self) -> int:
        """The maximum number of calibration frames that any step uses; 0 if none does."""
        return max((step.max_frames for step in self.steps), default=0)

    @property
    def uses_masks(self) -> bool:
        """Whether the result depends on the masks of the calibration frames."""
        return any(step.uses_masks for step in self.steps)

    @property
    def work(self) -> float:
        """A rough estimate of the remaining work, as a share of the source's."""
        return math.prod(step.work for step in self.steps)

    @property
    def has_own_size(self) -> bool:
        """Whether the steps set the graph's input size."""
        return any(isinstance(step, Reshape | Shrink | TakeStudent) for step in self.steps)

    @property
    def lacks_student(self) -> bool:
        """Whether it starts from a student, and the source has none."""
        return any(isinstance(step, TakeStudent) and not step.digest for step in self.steps)

    @property
    def is_whole(self) -> bool:
        """Whether it keeps the source's whole graph."""
        return any(isinstance(step, Convert) for step in self.steps)

    @property
    def is_quantized(self) -> bool:
        """Whether the resulting graph computes in 8 bits."""
        return any(isinstance(step, Quantize | Recode) for step in self.steps)

    def fits(self, source: Source) -> bool:
        """Return whether a source of this format may contain what the steps need.

        TensorFlow's own formats hardly ever store 8-bit weights, so recoding is skipped for them.
        """
        recodes = any(isinstance(step, Recode) for step in self.steps)
        return not recodes or source.format not in ("frozen", "savedmodel", "keras")

    def suits(self, levels: Collection[str]) -> bool:
        """Return whether it is for one of these levels of instruction sets; without levels, every recipe is."""
        return not self.instruction_sets or not levels or not set(self.instruction_sets).isdisjoint(levels)

    def resize(self, size: tuple[int, int]) -> "Recipe":
        """Return the recipe with a reshape to ``size``, (height, width), just before quantization or at the end."""
        place = next((n for n, step in enumerate(self.steps) if isinstance(step, Quantize | Recode)), len(self.steps))
        steps = (*self.steps[:place], Reshape(*size), *self.steps[place:])
        return replace(self, name=f"{self.name} {size[1]}x{size[0]}", steps=steps)

    def list_beginnings(self) -> tuple["Recipe", ...]:
        """Return the recipes made of its first steps, the shortest first and the whole recipe last."""
        return tuple(replace(self, steps=self.steps[:count]) for count in range(1, len(self.steps) + 1))


@cache
def _version(library: str) -> str:
    return version(library)


@dataclass(frozen=True)
class PartialBuild:
    """The graph after the first steps of a recipe, with a note for each of them."""

    path: Path
    notes: tuple[str, ...]


def build_recipe(
    recipe: Recipe, context: StepContext, target: Path, begun: PartialBuild | None = None
) -> tuple[Artifact, tuple[str, ...]]:
    """Apply the steps in order; the last one writes ``target``. Return the artifact and a note for each step.

    If ``begun`` is given, only the remaining steps are applied. At least one step must remain.
    """
    path, notes = (begun.path, list(begun.notes)) if begun else (context.source.path, [])
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        for number, step in enumerate(recipe.steps[len(notes) :]):
            last = len(notes) == len(recipe.steps) - 1
            artifact, note = step.apply(path, target if last else Path(folder) / f"{number}.xml", context)
            path = artifact.path
            notes.append(f"{step.kind}: {note}")
    return artifact, tuple(notes)


def read_recipe(path: Path, source: Source) -> Recipe:
    """Read the recipe in the TOML file, and fill in the fields that it leaves to ``source``.

    Raises InputError that names the file, the place in it, and the nearest known word.
    """
    table = read_toml(path)
    known = {field.name for field in dataclasses.fields(Recipe)} - {"source", "steps"}
    optional = {"exact", "baseline", "instruction_sets"}
    expect_keys(table, (known | {"step"}) - optional, path, "the top", optional=optional)
    kinds = {"name": str, "about": str, "priority": int, "exact": bool, "baseline": str, "instruction_sets": list}
    for key, kind in kinds.items():
        if key in table and type(table[key]) is not kind:
            raise InputError(f"{path}: {key}: expected {kind.__name__}, found {table[key]!r}")
    choices: dict[str, tuple[str, ...]] = {"meaning": get_args(Meaning), "effort": EFFORTS}
    for key, words in choices.items():
        if table[key] not in words:
            raise InputError(f"{path}: {key}: expected one of {', '.join(words)}, found {table[key]!r}")
    written = table.pop("step")
    if not isinstance(written, list) or not all(isinstance(step, dict) and "kind" in step for step in written):
        raise InputError(f"{path}: expected [[step]] tables, each with a kind, found {written!r}")
    table["instruction_sets"] = tuple(map(str, table.get("instruction_sets", ())))
    try:
        steps = tuple(make_step(step.pop("kind"), step, source) for step in written)
        return Recipe(**table, source=source.digest, steps=steps)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_recipes(source: Source, folder: Path = RECIPES) -> tuple[Recipe, ...]:
    """Return the folder's recipes for this source, the highest priority first.

    Recipes that need a student are left out if the source has none. Raises InputError, also for two recipes of one
    name.
    """
    found: dict[str, Recipe] = {}
    for path in sorted(folder.glob("*.toml")):
        recipe = read_recipe(path, source)
        if recipe.name in found:
            raise InputError(f"{path}: another recipe in the folder has the same name, {recipe.name}")
        if not recipe.lacks_student:
            found[recipe.name] = recipe
    return tuple(sorted(found.values(), key=lambda recipe: (-recipe.priority, recipe.name)))


def find_recipe(name: str, source: Source, folder: Path = RECIPES) -> Recipe:
    """Return the folder's recipe of that name. Raises InputError with the nearest name if there is none."""
    known = {recipe.name: recipe for recipe in read_recipes(source, folder)}
    if name not in known:
        raise InputError(f"--recipe: no recipe is called {name}{did_you_mean(name, sorted(known))}")
    return known[name]
