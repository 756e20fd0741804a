"""What every step is."""

import dataclasses
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.recipe import Draft, Recipe, StepSpec
from danmatte_workbench.source import Source


@dataclass(frozen=True)
class StepContext:
    """What steps may use beside the graph: the source's description and frames to calibrate on.

    ``unfinished`` is where a step that takes long keeps what it has so far; None keeps nothing.
    """

    source: Source
    calibration: Dataset
    unfinished: Path | None = None

    def pictures(self, limit: int, size: tuple[int, int] | None = None) -> list[np.ndarray]:
        """At most ``limit`` of the frames as a graph of input ``size`` takes them, (1, H, W, 3) uint8.

        Without ``size``, (height, width), that of the source.
        """
        framing = self.source.framing if size is None else dataclasses.replace(self.source.framing, size=size)
        return [framing.fit_exactly(sample.pixels) for sample in self.calibration.shuffled(limit)]


@dataclass(frozen=True)
class Step(ABC):
    """A change to a graph. Subclasses are frozen dataclasses whose fields say everything about it.

    ``kind`` is its name in recipes, ``revision`` grows with every change of what it does, ``libraries``
    names those whose version matters, and ``from_source`` the fields that a recipe may leave to the source. A step
    that looks at the context's frames has a field ``frames``, their highest number: what it makes depends on them.
    """

    kind: ClassVar[str]
    revision: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("openvino",)
    from_source: ClassVar[Mapping[str, str]] = {}
    _kinds: ClassVar[dict[str, type["Step"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        Step._kinds[cls.kind] = cls

    @abstractmethod
    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        """Read the graph at ``source``, write the changed one to ``target`` (an ``.xml``), say in words what was done.

        The same input gives the same digest; ``source`` stays as it is.
        """

    @property
    def spec(self) -> StepSpec:
        """This step as data."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return StepSpec(self.kind, self.revision, fields)


def make_step(kind: str, fields: Mapping[str, Any], source: Source) -> Step:
    """The step of that kind, the fields that it lacks filled from the source or by its defaults.

    Raises InputError for an unknown kind or field, with the nearest word.
    """
    made = Step._kinds.get(kind)
    if made is None:
        raise InputError(f"unknown step {kind}{did_you_mean(kind, Step._kinds)}")
    known = {field.name for field in dataclasses.fields(made)}
    for name in fields:
        if name not in known:
            raise InputError(f"step {kind}: unknown field {name}{did_you_mean(name, known)}")
    given = {name: getattr(source, attribute) for name, attribute in made.from_source.items()}
    given.update({name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})
    return made(**given)


def refine(draft: Draft, source: Source) -> Recipe:
    """The draft with all fields of all steps, ready to be built from ``source``."""
    return _recipe(draft.name, source, [make_step(kind, fields, source) for kind, fields in draft.steps])


def beginnings(recipe: Recipe, source: Source) -> tuple[Recipe, ...]:
    """The recipes that this one begins with, the shortest first and itself last."""
    steps = [make_step(step.kind, step.fields, source) for step in recipe.steps]
    return tuple(_recipe(recipe.name, source, steps[:count]) for count in range(1, len(steps) + 1))


def _recipe(name: str, source: Source, steps: Sequence[Step]) -> Recipe:
    libraries = {library for step in steps for library in step.libraries}
    return Recipe(name, source.digest, tuple(step.spec for step in steps), _versions(libraries))


@dataclass(frozen=True)
class Begun:
    """A graph that the first steps have already made, one note each."""

    path: Path
    notes: tuple[str, ...]


def build(
    recipe: Recipe, context: StepContext, target: Path, begun: Begun | None = None
) -> tuple[Artifact, tuple[str, ...]]:
    """All steps one after another; the last one writes ``target``. What each did is told in order.

    With ``begun`` only those that are missing, of which there is one at least.
    """
    steps = [make_step(step.kind, step.fields, context.source) for step in recipe.steps]
    if not steps:
        raise InputError(f"recipe {recipe.name} has no steps")
    path, notes = (begun.path, list(begun.notes)) if begun else (context.source.path, [])
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        for number, step in enumerate(steps[len(notes) :]):
            last = len(notes) == len(steps) - 1
            artifact, note = step.apply(path, target if last else Path(folder) / f"{number}.xml", context)
            path = artifact.path
            notes.append(f"{step.kind}: {note}")
    return artifact, tuple(notes)


def _versions(libraries: set[str]) -> dict[str, str]:
    from importlib.metadata import version

    return {library: version(library) for library in sorted(libraries)}
