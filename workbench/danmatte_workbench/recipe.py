"""Recipes: what is done to a source graph, and all that a search has to know of it, as strict TOML.

A new recipe is one new file in ``recipes/`` and nothing else; the file's name means nothing.
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
    """Steps for one source graph, and when they are worth trying.

    about: what it is for, in a sentence. meaning: the sources that it is a candidate for, by what they answer.
    effort: the least one at which it is tried: how dear it is. priority: what has more is tried earlier.
    source: the graph's digest. exact: the arithmetic stays the source's, so that nearly every budget accepts what it
    makes. baseline: the name under which every run shows it beside the source; empty for what is no baseline.
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
        """The versions of the libraries that its steps name, sorted."""
        libraries = {library for step in self.steps for library in step.libraries}
        return {library: _version(library) for library in sorted(libraries)}

    @property
    def digest(self) -> str:
        """sha256 over the source, the steps with revisions and fields, and the toolchain; what it is called is free."""
        steps = [[step.kind, step.revision, step.fields] for step in self.steps]
        facts = json.dumps([self.source, steps, self.toolchain], sort_keys=True, default=list)
        return hashlib.sha256(facts.encode()).hexdigest()

    @property
    def frames(self) -> int:
        """The most calibration frames that any of its steps looks at; 0 where none does."""
        return max((step.most_frames for step in self.steps), default=0)

    @property
    def looks_at_masks(self) -> bool:
        """Whether what it makes depends on the calibration frames' masks."""
        return any(step.looks_at_masks for step in self.steps)

    @property
    def work(self) -> float:
        """What is left of the source's work, as a share: a rough guess."""
        return math.prod(step.work for step in self.steps)

    @property
    def has_own_size(self) -> bool:
        """Whether its steps say at which size the graph works."""
        return any(isinstance(step, Reshape | Shrink | TakeStudent) for step in self.steps)

    @property
    def lacks_student(self) -> bool:
        """Whether it starts from a student that the source doesn't have."""
        return any(isinstance(step, TakeStudent) and not step.digest for step in self.steps)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is cut off the source's graph."""
        return any(isinstance(step, Convert) for step in self.steps)

    @property
    def is_quantized(self) -> bool:
        """Whether the graph that it makes computes in 8 bits."""
        return any(isinstance(step, Quantize | Recode) for step in self.steps)

    def fits(self, source: Source) -> bool:
        """Whether such a source may have what its steps need: TensorFlow's own formats hardly ever store 8 bits."""
        recodes = any(isinstance(step, Recode) for step in self.steps)
        return not recodes or source.format not in ("frozen", "savedmodel", "keras")

    def suits(self, levels: Collection[str]) -> bool:
        """Whether it is for one of these levels of instruction sets; for machines without any, all recipes are."""
        return not self.instruction_sets or not levels or not set(self.instruction_sets).isdisjoint(levels)

    def resize(self, size: tuple[int, int]) -> "Recipe":
        """The recipe for inputs of ``size``, (height, width): reshaped just before it is quantized, or at the end."""
        place = next((n for n, step in enumerate(self.steps) if isinstance(step, Quantize | Recode)), len(self.steps))
        steps = (*self.steps[:place], Reshape(*size), *self.steps[place:])
        return replace(self, name=f"{self.name} {size[1]}x{size[0]}", steps=steps)

    def list_beginnings(self) -> tuple["Recipe", ...]:
        """The recipes that this one begins with, the shortest first and itself last."""
        return tuple(replace(self, steps=self.steps[:count]) for count in range(1, len(self.steps) + 1))


@cache
def _version(library: str) -> str:
    return version(library)


@dataclass(frozen=True)
class Begun:
    """A graph that a recipe's first steps have already made, with a note of each."""

    path: Path
    notes: tuple[str, ...]


def build_recipe(
    recipe: Recipe, context: StepContext, target: Path, begun: Begun | None = None
) -> tuple[Artifact, tuple[str, ...]]:
    """Apply the steps one after another; the last one writes ``target``. Returns a note of each step, too.

    With ``begun``, only the steps that are missing are applied, of which there is one at least.
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
    """The recipe in the TOML file, with all fields of all steps that it leaves to ``source``.

    Raises InputError that names the file, the place in it, and the nearest word.
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
        raise InputError(f"{path}: expected [[step]] tables, each with its kind")
    table["instruction_sets"] = tuple(map(str, table.get("instruction_sets", ())))
    try:
        steps = tuple(make_step(step.pop("kind"), step, source) for step in written)
        return Recipe(**table, source=source.digest, steps=steps)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_recipes(source: Source, folder: Path = RECIPES) -> tuple[Recipe, ...]:
    """The folder's recipes for this source, the most promising first. Raises InputError, also for two of one name."""
    found: dict[str, Recipe] = {}
    for path in sorted(folder.glob("*.toml")):
        recipe = read_recipe(path, source)
        if recipe.name in found:
            raise InputError(f"{path}: another recipe of the folder is called {recipe.name}, too")
        if not recipe.lacks_student:
            found[recipe.name] = recipe
    return tuple(sorted(found.values(), key=lambda recipe: (-recipe.priority, recipe.name)))


def find_recipe(name: str, source: Source, folder: Path = RECIPES) -> Recipe:
    """The folder's recipe of that name. Raises InputError that says the nearest name."""
    known = {recipe.name: recipe for recipe in read_recipes(source, folder)}
    if name not in known:
        raise InputError(f"--recipe: no recipe is called {name}{did_you_mean(name, sorted(known))}")
    return known[name]
