"""The base of all steps, what they may use, and one made by its kind."""

import dataclasses
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, get_type_hints

import msgspec
import numpy as np

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.source import Source

# What a recipe's author calls the types that msgspec names.
_TYPES = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}


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
        return [framing.fit_exactly(sample.pixels) for sample in self.calibration.pick(limit)]


@dataclass(frozen=True)
class Step(ABC):
    """A change to a graph. Subclasses are frozen dataclasses whose fields say everything about it.

    ``kind`` is its name in recipes, ``revision`` grows with every change of what it does, ``libraries``
    names those whose version matters, and ``from_source`` the fields that a recipe may leave to the source. A step
    that looks at the context's frames has a field ``frames``, their highest number: what it makes depends on them,
    and on their masks where it ``looks_at_masks``.
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

    def estimate_s(self, frames: int, source_s: float) -> float:
        """Seconds that it may take, before anything of the kind was timed.

        frames: how many there are to look at. source_s: seconds of one inference of the source.
        """
        return 1.0

    @property
    def work(self) -> float:
        """What is left of a graph's work, as a share: a rough guess, by which trials are put in order."""
        return 1.0

    @property
    def most_frames(self) -> int:
        """How many of the context's frames it looks at, at most."""
        return int(self.fields.get("frames", 0))

    @property
    def looks_at_masks(self) -> bool:
        """Whether what it makes depends on the frames' masks, where they have any."""
        return False

    @property
    def fields(self) -> dict[str, Any]:
        """All fields by name; with ``kind`` and ``revision``, everything that there is to say of the step."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def make_step(kind: str, fields: Mapping[str, Any], source: Source) -> Step:
    """The step of that kind, the fields that it lacks filled from the source or by its defaults.

    Raises InputError for an unknown kind or field, with the nearest word, for a field that nobody says, and for one of
    another type than the step's.
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
    for field in dataclasses.fields(made):
        if field.name not in given and field.default is dataclasses.MISSING:
            raise InputError(f"step {kind}: lacks {field.name}")
    try:
        step = made(**given)  # says best itself what it expected
    except TypeError:
        _check_types(made, given)
        raise
    _check_types(made, given)
    return step


def _check_types(made: type[Step], given: Mapping[str, Any]) -> None:
    """Raises InputError for a value that isn't of its field's type."""
    hints = get_type_hints(made)
    for name, value in given.items():
        try:
            msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            words = str(error).removeprefix("Expected ").partition(", got")[0]
            expected = re.sub("`([a-z]+)`", lambda kind: _TYPES.get(kind[1], kind[1]), words)
            raise InputError(f"{made.kind}: {name}: expected {expected}, found {value!r}") from error
