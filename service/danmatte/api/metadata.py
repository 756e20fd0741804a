"""Server metadata, model metadata and model configuration of V2; the gRPC messages have the same fields."""

import json
from collections.abc import Iterator
from functools import cache
from importlib import metadata as distributions
from typing import Any, Final

from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import (
    BoxesOutput,
    Input,
    Output,
    PictureInput,
    RegionsOutput,
    ScoreOutput,
    ScoresOutput,
)
from danmatte.inference.tensors import DATATYPES, MASK, MAX_BATCH, describe_shape

EXTENSIONS: Final = ["binary_tensor_data", "model_configuration", "parameters", "statistics"]
PLATFORM: Final = "openvino"


def describe_server(*, has_repository: bool = False) -> dict[str, Any]:
    """Return the server's metadata; `has_repository` is whether this port can load and unload models."""
    extensions = [*EXTENSIONS, "model_repository"] if has_repository else EXTENSIONS
    return {"name": "danmatte", "version": read_version(), "extensions": extensions}


@cache
def read_version() -> str:
    """Return the installed package's version, `0` for a checkout that isn't installed."""
    try:
        return distributions.version("danmatte")
    except distributions.PackageNotFoundError:
        return "0"


def describe_model(manifest: Manifest, versions: list[str]) -> dict[str, Any]:
    """Return the model's metadata.

    The output `mask` isn't listed, because clients request all listed outputs; it is returned only on request.
    """
    return {
        "name": manifest.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [_describe_port(port, manifest) for port in manifest.inputs],
        "outputs": [_describe_port(port, manifest) for port in manifest.outputs],
    }


def describe_config(manifest: Manifest) -> dict[str, Any]:
    """Return the model's configuration as in Triton: if the model takes batches, shapes omit the batch dimension."""
    first = int(manifest.takes_batches)
    inputs = []
    for port in manifest.inputs:
        layout = {"format": f"FORMAT_{port.layout}"} if isinstance(port, PictureInput) else {}
        inputs.append(_configure_port(port, manifest, first) | layout)
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": MAX_BATCH if first else 0,
        "input": inputs,
        "output": [_configure_port(port, manifest, first) for port in manifest.outputs],
        "parameters": {name: {"string_value": value} for name, value in _list_parameters(manifest)},
    }


def _describe_port(port: Input | Output, manifest: Manifest) -> dict[str, Any]:
    return {"name": port.name, "datatype": DATATYPES[port.dtype], "shape": describe_shape(port, manifest)}


def _configure_port(port: Input | Output, manifest: Manifest, first: int) -> dict[str, Any]:
    dims = describe_shape(port, manifest)[first:]
    return {"name": port.name, "data_type": f"TYPE_{DATATYPES[port.dtype]}", "dims": dims}


def _list_parameters(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Yield what the contract says beyond names, types and shapes.

    If a model has several inputs or outputs, the port's name is appended to the parameter's name.
    """
    for port in manifest.inputs:
        if isinstance(port, PictureInput):
            end = f".{port.name}" if len(manifest.inputs) > 1 else ""
            yield from ((f"colour{end}", port.colour), (f"resize{end}", port.resize.rule))
            yield f"encoded_pictures{end}", "BYTES"
    for output in manifest.outputs:
        end = f".{output.name}" if len(manifest.outputs) > 1 else ""
        yield f"meaning{end}", output.meaning
        if isinstance(output, RegionsOutput):
            yield f"regions{end}", ",".join(output.regions)
        if isinstance(output, ScoresOutput | BoxesOutput) and output.labels:
            yield f"labels{end}", json.dumps(output.labels, ensure_ascii=False)
        if isinstance(output, BoxesOutput):
            yield from ((f"columns{end}", ",".join(output.columns)), (f"units{end}", output.units))
        if isinstance(output, ScoreOutput) and output.unit:
            yield f"unit{end}", output.unit
    if manifest.makes_masks:
        yield "further_output", MASK
