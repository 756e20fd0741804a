"""The contract's first version, for models that find people: manifests of it are still read and written."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from danmatte.contract.configuration import Configuration
from danmatte.contract.grid import Grid
from danmatte.contract.measurement import Text
from danmatte.contract.origin import ConfirmedLevels, Created, Files, Licence, Measurements, Name, Recipe, Version
from danmatte.contract.ports import PERSON, Channel, PictureInput, RegionsOutput, Resize

Side = Annotated[int, Meta(ge=16, le=4096)]
GridSide = Annotated[int, Meta(ge=1, le=4096)]
_THRESHOLD = 0.5


class Input(Struct, frozen=True, forbid_unknown_fields=True):
    """The graph's input: one 8-bit picture, 1×H×W×3."""

    name: Text
    shape: tuple[Literal[1], Side, Side, Literal[3]]
    dtype: Literal["u8"]
    layout: Literal["NHWC"]
    colour: Literal["RGB", "BGR"]


class Output(Struct, frozen=True, forbid_unknown_fields=True):
    """The graph's output: the person's probability, 1×h×w×1."""

    name: Text
    shape: tuple[Literal[1], GridSide, GridSide, Literal[1]]
    dtype: Literal["f32"]
    layout: Literal["NHWC"]
    meaning: Literal["person_probability"]
    grid: Grid


class ManifestV1(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A published version of a model that finds people, as the contract's first version describes it."""

    contract: Literal[1]
    name: Name
    version: Version
    files: Files
    input: Input
    output: Output
    resize: Resize
    recipe: Recipe
    configuration: Configuration
    measurements: Measurements
    licence: Licence
    created: Created
    confirmed: ConfirmedLevels = []

    @property
    def ports(self) -> tuple[PictureInput, RegionsOutput]:
        """Input and output in the terms of version 2."""
        given, person = self.input, self.output
        return (
            PictureInput(given.name, given.shape, given.dtype, given.layout, given.colour, self.resize),
            RegionsOutput(
                person.name, person.shape, person.dtype, person.layout, (Channel(PERSON, _THRESHOLD),), person.grid
            ),
        )
