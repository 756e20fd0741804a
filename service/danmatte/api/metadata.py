"""Server metadata, model metadata and configuration as V2 has them; gRPC's messages have the same fields."""

from functools import cache
from importlib import metadata as distributions
from typing import Any, Final

from danmatte.contract.manifest import Manifest
from danmatte.inference.tensors import MASK, MAX_BATCH

EXTENSIONS: Final = ["binary_tensor_data", "model_configuration", "model_repository", "parameters", "statistics"]
PLATFORM: Final = "openvino"


def describe_server() -> dict[str, Any]:
    """The server's metadata."""
    return {"name": "danmatte", "version": read_version(), "extensions": EXTENSIONS}


@cache
def read_version() -> str:
    """The installed package's version, or 0 for a bare checkout."""
    try:
        return distributions.version("danmatte")
    except distributions.PackageNotFoundError:
        return "0"


def describe_model(manifest: Manifest, versions: list[str]) -> dict[str, Any]:
    """The model's metadata.

    `mask`, which is answered only when asked for, isn't listed: clients take one input and one output for
    granted, and ask for all that is listed.
    """
    return {
        "name": manifest.name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [{"name": manifest.input.name, "datatype": "UINT8", "shape": [-1, *manifest.input.shape[1:]]}],
        "outputs": [{"name": manifest.output.name, "datatype": "FP32", "shape": [-1, *manifest.output.shape[1:]]}],
    }


def describe_config(manifest: Manifest) -> dict[str, Any]:
    """The model's configuration as Triton has it: shapes without the batch."""
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": MAX_BATCH,
        "input": [
            {
                "name": manifest.input.name,
                "data_type": "TYPE_UINT8",
                "format": "FORMAT_NHWC",
                "dims": list(manifest.input.shape[1:]),
            }
        ],
        "output": [
            {"name": manifest.output.name, "data_type": "TYPE_FP32", "dims": list(manifest.output.shape[1:])},
        ],
        "parameters": {
            name: {"string_value": value}
            for name, value in (
                ("colour", manifest.input.colour),
                ("meaning", manifest.output.meaning),
                ("resize", manifest.resize.rule),
                ("encoded_pictures", "BYTES"),
                ("further_output", MASK),
            )
        },
    }
