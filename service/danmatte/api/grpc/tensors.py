"""Conversion of gRPC inference messages to requests, and of output tensors to messages."""

import asyncio
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from danmatte.api.grpc.messages import inference
from danmatte.api.tensor_bytes import check_shape, describe_type, find_type, from_bytes, to_bytes
from danmatte.engine import Served
from danmatte.errors import TensorError, brief
from danmatte.inference.tensors import BYTES, InferRequest, Tensor

# Unpacking the numbers of a message takes time for each number. Up to this many, it is faster than waking a thread.
_FEW: Final = 2**12
# The field of `contents` that has the numbers of each datatype.
_FIELDS: Final = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


async def read_request(request: Any) -> InferRequest:
    """Convert a ModelInferRequest, in a thread if it is large; raises TensorError."""
    fields = {*_FIELDS.values()}
    if any(len(getattr(given.contents, field)) > _FEW for given in request.inputs for field in fields):
        return await asyncio.to_thread(_read, request)
    return _read(request)


def read_timeout_s(request: Any, remaining_s: float | None) -> float | None:
    """Return the shorter of the call's deadline and the parameter `timeout`, which is in microseconds.

    None means no limit. Raises TensorError.
    """
    given = request.parameters.get("timeout")
    timeout_us = (given.int64_param or given.uint64_param) if given is not None else 0
    if timeout_us < 0:
        raise TensorError(f"parameters: timeout: expected microseconds, received {timeout_us}")
    limits = [limit for limit in (timeout_us / 1e6 or None, remaining_s) if limit is not None]
    return max(min(limits), 1e-3) if limits else None


def build_response(request: Any, served: Served, outputs: Sequence[Tensor]) -> Any:
    """Build a ModelInferResponse; its values are in `raw_output_contents`, because clients read no other field."""
    return inference("ModelInferResponse")(
        model_name=served.manifest.name,
        model_version=str(served.manifest.version),
        id=request.id,
        outputs=[{"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape} for tensor in outputs],
        raw_output_contents=[to_bytes(tensor) for tensor in outputs],
    )


def _read(request: Any) -> InferRequest:
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        raise TensorError(f"raw_input_contents: expected {len(request.inputs)}, received {len(raw)}")
    for given in (*request.inputs, *request.outputs):
        if "shared_memory_region" in given.parameters:
            raise TensorError(f"{brief(given.name)}: shared memory isn't supported")
    for output in request.outputs:
        if _get_value(output.parameters.get("classification")):
            raise TensorError(f"{brief(output.name)}: classification isn't supported")
    if raw:
        inputs = [
            from_bytes(given.name, given.datatype, check_shape(given.name, given.shape), data)
            for given, data in zip(request.inputs, raw, strict=True)
        ]
    else:
        inputs = [_read_contents(given) for given in request.inputs]
    return InferRequest(tuple(inputs), tuple(output.name for output in request.outputs))


def _get_value(parameter: Any) -> Any:
    """Return an InferParameter's value, None if there is none."""
    kind = parameter.WhichOneof("parameter_choice") if parameter is not None else None
    return getattr(parameter, kind) if kind else None


def _read_contents(given: Any) -> Tensor:
    """Read a tensor from the field of `contents` for its datatype."""
    shape = check_shape(given.name, given.shape)
    if given.datatype == BYTES:
        elements = list(given.contents.bytes_contents)
        if len(elements) != math.prod(shape):
            raise TensorError(f"{brief(given.name)}: expected {math.prod(shape)} elements, received {len(elements)}")
        return Tensor(given.name, BYTES, shape, elements)
    dtype, field = find_type(given.name, given.datatype), _FIELDS.get(given.datatype)
    if field is None:
        raise TensorError(f"{brief(given.name)}: {given.datatype}: expected in raw_input_contents")
    numbers = getattr(given.contents, field)
    if len(numbers) != math.prod(shape):
        raise TensorError(
            f"{brief(given.name)}: expected {math.prod(shape)} numbers in {field}, received {len(numbers)}"
        )
    try:
        return Tensor(given.name, given.datatype, shape, np.array(list(numbers), dtype).reshape(shape))
    except (OverflowError, ValueError) as error:
        raise TensorError(f"{brief(given.name)}: expected {describe_type(dtype)}: {error}") from error
