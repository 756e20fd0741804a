"""A V2 inference answer: JSON, and behind it the outputs that were wanted in binary."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from danmatte.api import json_arrays
from danmatte.api.tensor_bytes import to_bytes
from danmatte.api.v2.request import AnswerOptions
from danmatte.contract.manifest import Manifest
from danmatte.inference.tensors import Tensor


def write_answer(manifest: Manifest, outputs: Sequence[Tensor], options: AnswerOptions) -> tuple[bytes, int | None]:
    """The body, and how much of it is JSON; None when nothing is binary. Takes long for megabytes of JSON."""
    described, behind = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if options.is_binary(tensor.name):
            behind.append(to_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(behind[-1])}
        elif isinstance(tensor.values, np.ndarray):
            entry["data"] = msgspec.Raw(json_arrays.write_flat(tensor.values))
        else:
            entry["data"] = [b64encode(element).decode() for element in tensor.values]
        described.append(entry)
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if options.id:
        answer["id"] = options.id
    head = msgspec.json.encode(answer | {"outputs": described})
    return b"".join((head, *behind)), len(head) if behind else None
