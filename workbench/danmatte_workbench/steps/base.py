"""The base class of all steps, their context, and a factory that makes a step by its kind."""

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

# Names of msgspec's types in error messages for authors of recipes.
_TYPES = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}


@dataclass(frozen=True)
class StepContext:
    """What steps may use besides the graph: the source's description, and frames for calibration.

    ``unfinished`` is the folder in which slow steps store partial results; None to store nothing.
    """

    source: Source
    calibration: Dataset
    unfinished: Path | None = None

    def pictures(self, limit: int, size: tuple[int, int] | None = None) -> list[np.ndarray]:
        """Return at most ``limit`` frames as a graph with input ``size`` takes them, (1, H, W, 3) uint8.

        size: (height, width); None for the source's own.
        """
        framing = self.source.framing if size is None else dataclasses.replace(self.source.framing, size=size)
        return [framing.fit_exactly(sample.pixels) for sample in self.calibration.pick(limit)]


@dataclass(frozen=True)
class Step(ABC):
    """A change to a graph. Subclasses are frozen dataclasses whose fields describe it completely.

    kind: its name in recipes.
    revision: increased with every change of its behaviour.
    libraries: the libraries whose version affects the result.
    from_source: fields that a recipe may omit, with the source's attributes that replace them.

    A step that uses frames from the context has a field ``frames``, their maximum number. Its result depends on them,
    and on their masks if it ``uses_masks``.
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
        """Read the graph at ``source``, write the changed one to ``target`` (an ``.xml``), and return it with a note.

        The same input gives the same digest. ``source`` isn't changed.
        """

    def estimate_s(self, frames: int, source_s: float) -> float:
        """Return an estimate of the step's duration in seconds, used until such a step has been timed.

        frames: the number of available frames. source_s: seconds per inference of the source.
        """
        return 1.0

    @property
    def work(self) -> float:
        """A rough estimate of the remaining work, as a share of the graph's; trials are ordered by it."""
        return 1.0

    @property
    def max_frames(self) -> int:
        """The maximum number of the context's frames that it uses."""
        return int(self.fields.get("frames", 0))

    @property
    def uses_masks(self) -> bool:
        """Whether the result depends on the frames' masks, if they have any."""
        return False

    @property
    def fields(self) -> dict[str, Any]:
        """All fields by name; with ``kind`` and ``revision``, the complete description of the step."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def make_step(kind: str, fields: Mapping[str, Any], source: Source) -> Step:
    """Return the step of that kind; missing fields are filled from the source or with defaults.

    Raises InputError for an unknown kind or field, with the nearest word, for a missing field, and for a value of the
    wrong type.
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
        step = made(**given)  # first, because its own checks give the best messages
    except TypeError:
        _check_types(made, given)
        raise
    _check_types(made, given)
    return step


def _check_types(made: type[Step], given: Mapping[str, Any]) -> None:
    """Raise InputError for a value that doesn't have its field's type."""
    hints = get_type_hints(made)
    for name, value in given.items():
        try:
            msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            words = str(error).removeprefix("Expected ").partition(", got")[0]
            expected = re.sub("`([a-z]+)`", lambda kind: _TYPES.get(kind[1], kind[1]), words)
            raise InputError(f"{made.kind}: {name}: expected {expected}, found {value!r}") from error
