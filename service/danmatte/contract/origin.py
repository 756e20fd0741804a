"""The parts of a manifest that both versions of the contract share: a version's files, and how it was made."""

import math
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from danmatte.contract.measurement import Count, Measurement, Samples, Text

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$(?!\n)"

Name = Annotated[str, Meta(pattern=NAME)]
Version = Annotated[int, Meta(ge=1, le=2**53)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
Measurements = Annotated[list[Measurement], Meta(max_length=1000)]
Licence = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]{0,199}$(?!\n)")]
Created = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", max_length=20)]


class File(Struct, frozen=True, forbid_unknown_fields=True):
    """The digest and size of a file beside the manifest."""

    sha256: Digest
    size_bytes: Count


class Files(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The files of a version: the graph, its weights, and stored answers if there are any."""

    graph: File = field(name="graph.xml")
    weights: File = field(name="graph.bin")
    answers: File | None = field(name="answers.json", default=None)


class Source(Struct, frozen=True, forbid_unknown_fields=True):
    """The graph that the version was made from."""

    name: Text
    digest: Digest


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    """One operation on the source graph."""

    kind: Text
    revision: Count
    fields: dict[str, Any]


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """How the version was made."""

    name: Text
    digest: Digest
    source: Source
    steps: Annotated[list[Step], Meta(max_length=1000)]
    toolchain: dict[str, str]


class ConfirmedLevel(Struct, frozen=True, forbid_unknown_fields=True):
    """The accuracy that the version lost compared to its source with an instruction set, named as in oneDNN.

    ``emulated``: the CPU supports newer instruction sets, which weren't used.
    """

    instruction_set: Text
    emulated: bool
    metric: Text
    value: float
    unit: Text
    low: float
    high: float
    samples: Samples

    def __post_init__(self) -> None:
        """Raise ValueError for an interval without the value."""
        _expect_interval(f"under {self.instruction_set}", self.low, self.value, self.high)


class ConfirmedKind(Struct, frozen=True, forbid_unknown_fields=True):
    """The accuracy that the version lost compared to its source in pictures of one kind of scene."""

    kind: Text
    metric: Text
    value: float
    unit: Text
    low: float
    high: float
    samples: Samples

    def __post_init__(self) -> None:
        """Raise ValueError for an interval without the value."""
        _expect_interval(f"in {self.kind}", self.low, self.value, self.high)


def _expect_interval(where: str, low: float, value: float, high: float) -> None:
    if not -math.inf < low <= value <= high < math.inf:
        raise ValueError(f"Expected low <= value <= high {where}, received {low}, {value}, {high}")


ConfirmedLevels = Annotated[list[ConfirmedLevel], Meta(max_length=100)]
ConfirmedKinds = Annotated[list[ConfirmedKind], Meta(max_length=100)]
