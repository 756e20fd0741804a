"""A V2 inference answer: JSON, and behind it the outputs that were wanted in binary."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from danmatte.api import json_arrays
from danmatte.api.tensor_bytes import to_bytes
from danmatte.api.v2.request import Wish
from danmatte.contract.manifest import Manifest
from danmatte.inference.tensors import Tensor


def written(manifest: Manifest, outputs: Sequence[Tensor], wish: Wish) -> tuple[bytes, int | None]:
    """The body, and how much of it is JSON; None when nothing is binary. Takes long for megabytes of JSON."""
    described, behind = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if wish.in_binary(tensor.name):
            behind.append(to_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            entry["data"] = msgspec.Raw(_data(tensor))
        described.append(entry)
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if wish.id:
        answer["id"] = wish.id
    head = msgspec.json.encode(answer | {"outputs": described})
    return b"".join((head, *behind)), len(head) if behind else None


def _data(tensor: Tensor) -> bytes:
    if isinstance(tensor.values, np.ndarray):
        return json_arrays.flat(tensor.values)
    return msgspec.json.encode([b64encode(element).decode() for element in tensor.values])
