"""A published version's manifest (models/CONTRACT.md): read as untrusted input, and validated before it is written."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from danmatte.contract.configuration import Configuration
from danmatte.contract.near_words import did_you_mean
from danmatte.contract.origin import (
    NAME,
    ConfirmedKind,
    ConfirmedKinds,
    ConfirmedLevel,
    ConfirmedLevels,
    Created,
    File,
    Files,
    Licence,
    Measurements,
    Name,
    Recipe,
    Source,
    Step,
    Version,
)
from danmatte.contract.ports import PERSON, BoxesOutput, Input, Output, PictureInput, RegionsOutput
from danmatte.contract.version1 import Input as InputV1
from danmatte.contract.version1 import ManifestV1
from danmatte.contract.version1 import Output as OutputV1
from danmatte.errors import InvalidParameterError, ManifestError

__all__ = [
    "NAME",
    "ConfirmedKind",
    "ConfirmedLevel",
    "File",
    "Files",
    "Manifest",
    "Recipe",
    "Source",
    "Step",
    "describe_schema",
    "encode",
    "parse",
]

MANIFEST_LIMIT_BYTES = 256 * 2**10
GRAPH_LIMIT_BYTES = 16 * 2**20
WEIGHTS_LIMIT_BYTES = 512 * 2**20
_PORTS = 64


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A published version of a model; models/CONTRACT.md explains each field.

    A manifest of the contract's first version keeps that number, and is written in that version's format again.
    """

    contract: Literal[1, 2]
    name: Name
    version: Version
    files: Files
    inputs: Annotated[tuple[Input, ...], Meta(min_length=1, max_length=_PORTS)]
    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=_PORTS)]
    recipe: Recipe
    configuration: Configuration
    measurements: Measurements
    licence: Licence
    created: Created
    confirmed: ConfirmedLevels = []
    kinds: ConfirmedKinds = []

    def __post_init__(self) -> None:
        """Raise ValueError for ports that contradict each other or other fields."""
        names = [port.name for port in (*self.inputs, *self.outputs)]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"Expected a name for each input and output, received {twice!r} twice")
        regions = [region for _, _, region in self.list_channels()]
        if twice := next((region for region in regions if regions.count(region) > 1), ""):
            raise ValueError(f"Expected each region once, received {twice!r} twice")
        others = {port.name for port in self.outputs if not isinstance(port, BoxesOutput)}
        for boxes in self.outputs:
            if isinstance(boxes, BoxesOutput):
                for wanted in (boxes.scores, boxes.classes, boxes.count):
                    if wanted and wanted not in others:
                        raise ValueError(f"Expected {boxes.name!r} to name other outputs, received {wanted!r}")
        if self.files.answers and not self.makes_masks:
            raise ValueError("Expected answers.json only for a model that makes masks of a picture")
        if self.configuration.batch > 1 and not self.takes_batches:
            raise ValueError(f"Expected a first side of 1 everywhere for batches of {self.configuration.batch}")

    @property
    def takes_batches(self) -> bool:
        """Whether the first side of every input and output is the number of items, so that N may be sent at once."""
        return all(port.shape[:1] == (1,) for port in (*self.inputs, *self.outputs))

    @property
    def picture(self) -> PictureInput:
        """The only input, a picture; raises InvalidParameterError for a model with other inputs."""
        first = self.inputs[0]
        if len(self.inputs) > 1 or not isinstance(first, PictureInput):
            raise InvalidParameterError(f"model: {self.name} doesn't take a picture; use a tensor request")
        return first

    @property
    def regions(self) -> RegionsOutput:
        """The output of the default region; raises InvalidParameterError for a model that finds no regions."""
        return self.find_region(self.default_region)[1]

    @property
    def makes_masks(self) -> bool:
        """Whether it takes one picture and finds regions in it."""
        is_picture = len(self.inputs) == 1 and isinstance(self.inputs[0], PictureInput)
        return is_picture and any(isinstance(port, RegionsOutput) for port in self.outputs)

    @property
    def default_region(self) -> str:
        """The region that masks show by default: the person, or otherwise the first one; empty without regions."""
        regions = [region for _, _, region in self.list_channels()]
        return PERSON if PERSON in regions else next(iter(regions), "")

    def list_channels(self) -> Iterator[tuple[int, int, str]]:
        """Yield the index of each region's output, the index of its channel, and its name."""
        for number, output in enumerate(self.outputs):
            if isinstance(output, RegionsOutput):
                yield from ((number, place, region) for place, region in enumerate(output.regions))

    def find_region(self, region: str) -> tuple[int, RegionsOutput, int]:
        """Return a region's output, with its index and its channel; raises InvalidParameterError for an unknown one."""
        known = list(self.list_channels())
        for number, place, name in known:
            output = self.outputs[number]
            if name == region and isinstance(output, RegionsOutput):
                return number, output, place
        if not known:
            raise InvalidParameterError(f"model: {self.name} finds no regions, so it makes no masks")
        hint = did_you_mean(region, [name for _, _, name in known])
        raise InvalidParameterError(f"region: {self.name} doesn't know {region!r}{hint}")


def describe_schema() -> dict[str, Any]:
    """Return the JSON Schema of both versions of the manifest, as stored in models/manifest.schema.json."""
    (first, second), definitions = msgspec.json.schema_components([ManifestV1, Manifest], ref_template="#/$defs/{name}")
    definitions["Manifest"]["properties"]["contract"] = {"enum": [2]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "anyOf": [first, second],
        "$defs": definitions,
    }


def parse(data: bytes, file: str = "manifest.json") -> Manifest:
    """Return the manifest in these bytes; raises ManifestError naming the file, the field, expected and received."""
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise ManifestError(file, "$", f"at most {MANIFEST_LIMIT_BYTES} bytes", len(data))
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_refuse_doubles)
        is_old = isinstance(document, dict) and document.get("contract") == 1
        read: Manifest | ManifestV1
        read = msgspec.json.decode(data, type=ManifestV1) if is_old else msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise _locate(file, error, document) from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(file, "$", "well-formed JSON in UTF-8", str(error)) from error
    try:
        datetime.fromisoformat(read.created)
    except ValueError as error:
        raise ManifestError(file, "$.created", "a day and time that exist", read.created) from error
    if isinstance(read, Manifest):
        return read
    picture, region = read.ports
    common = {name: getattr(read, name) for name in Manifest.__struct_fields__ if hasattr(read, name)}
    return Manifest(**common, inputs=(picture,), outputs=(region,))


def encode(manifest: Manifest, file: str = "manifest.json") -> str:
    """Return the manifest as JSON; raises ManifestError for a manifest that `parse` would reject."""
    document = msgspec.to_builtins(_downgrade(manifest) if manifest.contract == 1 else manifest)
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    parse(text.encode(), file)
    return text


def _downgrade(manifest: Manifest) -> ManifestV1:
    picture, regions = manifest.picture, manifest.regions
    ours: Any = {
        "input": InputV1(picture.name, picture.shape, picture.dtype, picture.layout, picture.colour),  # type: ignore[arg-type]
        "output": OutputV1(
            regions.name,
            regions.shape,  # type: ignore[arg-type]
            regions.dtype,
            regions.layout,  # type: ignore[arg-type]
            "person_probability",
            regions.grid,
        ),
        "resize": picture.resize,
    }
    common = {name: getattr(manifest, name) for name in ManifestV1.__struct_fields__ if name not in ours}
    return ManifestV1(**common, **ours)


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"a key given twice: {next(key for key in keys if keys.count(key) > 1)!r}")
    return table


def _locate(file: str, error: msgspec.ValidationError, document: object) -> ManifestError:
    """Return a ManifestError for msgspec's, with the value looked up in the document.

    msgspec's message names what was expected and where (`… - at `$.a[0].b``), but not the value.
    """
    what, _, where = str(error).partition(" - at `")
    place = where.rstrip("`") or "$"
    for name, index in re.findall(r"\.([^.\[]+(?:\.(?:xml|bin))?)|\[(\d+)\]", place):
        try:
            document = document[int(index)] if index else document[name]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return ManifestError(file, place, what.removeprefix("Expected "), document)
