"""A published version's manifest (models/CONTRACT.md): read as hostile input, and written so that it can be read."""

import json
import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from danmatte.contract.configuration import Configuration
from danmatte.contract.grid import Grid
from danmatte.contract.measurement import Count, Measurement, Text
from danmatte.errors import ManifestError

MANIFEST_LIMIT_BYTES = 256 * 2**10
GRAPH_LIMIT_BYTES = 16 * 2**20
WEIGHTS_LIMIT_BYTES = 512 * 2**20
NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$(?!\n)"

Name = Annotated[str, Meta(pattern=NAME)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64)]
Side = Annotated[int, Meta(ge=16, le=4096)]
GridSide = Annotated[int, Meta(ge=1, le=4096)]
Byte = Annotated[int, Meta(ge=0, le=255)]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class File(_Strict, frozen=True):
    """What a file beside the manifest must be."""

    sha256: Digest
    size_bytes: Count


class Files(_Strict, frozen=True, omit_defaults=True):
    """The files of a version: the graph, and answers that it gave where it was made, if they were stored."""

    graph: File = field(name="graph.xml")
    weights: File = field(name="graph.bin")
    answers: File | None = field(name="answers.json", default=None)


class Input(_Strict, frozen=True):
    """The graph's input: one 8-bit picture, 1×H×W×3."""

    name: Text
    shape: tuple[Literal[1], Side, Side, Literal[3]]
    dtype: Literal["u8"]
    layout: Literal["NHWC"]
    colour: Literal["RGB", "BGR"]


class Output(_Strict, frozen=True):
    """The graph's output: the person's probability, 1×h×w×1."""

    name: Text
    shape: tuple[Literal[1], GridSide, GridSide, Literal[1]]
    dtype: Literal["f32"]
    layout: Literal["NHWC"]
    meaning: Literal["person_probability"]
    grid: Grid


class Resize(_Strict, frozen=True):
    """How a frame is brought to the input's size."""

    rule: Literal["stretch", "letterbox"]
    fill: tuple[Byte, Byte, Byte]


class Source(_Strict, frozen=True):
    """The graph it was all made from."""

    name: Text
    digest: Digest


class Step(_Strict, frozen=True):
    """One thing that was done to the source."""

    kind: Text
    revision: Count
    fields: dict[str, Any]


class Recipe(_Strict, frozen=True):
    """How the version was made."""

    name: Text
    digest: Digest
    source: Source
    steps: Annotated[list[Step], Meta(max_length=1000)]
    toolchain: dict[str, str]


class ConfirmedLevel(_Strict, frozen=True):
    """An instruction set, by oneDNN's name, and what the version lost of its source's accuracy under it.

    ``emulated``: the CPU had newer ones, which its kernels didn't use.
    """

    instruction_set: Text
    emulated: bool
    metric: Text
    value: float
    unit: Text
    low: float
    high: float
    samples: Annotated[int, Meta(ge=1)]


class Manifest(_Strict, frozen=True, omit_defaults=True):
    """A published version of a model; models/CONTRACT.md says what each field means."""

    contract: Literal[1]
    name: Name
    version: Annotated[int, Meta(ge=1, le=2**53)]
    files: Files
    input: Input
    output: Output
    resize: Resize
    recipe: Recipe
    configuration: Configuration
    measurements: Annotated[list[Measurement], Meta(max_length=1000)]
    licence: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]{0,199}$(?!\n)")]
    created: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", max_length=20)]
    confirmed: Annotated[list[ConfirmedLevel], Meta(max_length=100)] = []


def describe_schema() -> dict[str, Any]:
    """The manifest's JSON Schema, as kept in models/manifest.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Manifest)}


def parse(data: bytes, file: str = "manifest.json") -> Manifest:
    """The manifest in these bytes; raises ManifestError naming the file, the field, expected and received."""
    if len(data) > MANIFEST_LIMIT_BYTES:
        raise ManifestError(file, "$", f"at most {MANIFEST_LIMIT_BYTES} bytes", len(data))
    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=_refuse_doubles)
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.ValidationError as error:
        raise _locate(file, error, document) from error
    except (ValueError, RecursionError) as error:
        raise ManifestError(file, "$", "well-formed JSON in UTF-8", str(error)) from error
    try:
        datetime.fromisoformat(manifest.created)
    except ValueError as error:
        raise ManifestError(file, "$.created", "a day and time that exist", manifest.created) from error
    return manifest


def encode(manifest: Manifest, file: str = "manifest.json") -> str:
    """The text that `parse` reads; raises ManifestError for a manifest that it would refuse."""
    text = json.dumps(msgspec.to_builtins(manifest), indent=2, allow_nan=False) + "\n"
    parse(text.encode(), file)
    return text


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"a key given twice: {next(key for key in keys if keys.count(key) > 1)!r}")
    return table


def _locate(file: str, error: msgspec.ValidationError, document: object) -> ManifestError:
    """msgspec says what and where (`… - at `$.a[0].b``); the value it met is looked up here."""
    what, _, where = str(error).partition(" - at `")
    place = where.rstrip("`") or "$"
    for name, index in re.findall(r"\.([^.\[]+(?:\.(?:xml|bin))?)|\[(\d+)\]", place):
        try:
            document = document[int(index)] if index else document[name]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return ManifestError(file, place, what.removeprefix("Expected "), document)
