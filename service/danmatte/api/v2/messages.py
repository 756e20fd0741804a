"""Parsing of V2 inference requests and writing of responses: JSON, followed by the binary extension's tensors."""

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
from msgspec import Raw, Struct

from danmatte.api import json_arrays
from danmatte.api.tensor_bytes import check_shape, find_type, from_bytes, to_bytes
from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import PictureInput
from danmatte.errors import BodyError, TensorError, brief
from danmatte.inference.tensors import BYTES, DATATYPES, InferRequest, Tensor, describe_shape

LENGTH_HEADER: Final = "Inference-Header-Content-Length"
# Maximum JSON before binary tensors: more than any real client sends, and fast to parse.
HEADER_LIMIT_BYTES: Final = 2**20
_Parameters: TypeAlias = dict[str, str | int | float | bool | None]


class _InputBody(Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _Parameters | None = None
    data: Raw = Raw()


class _OutputBody(Struct):
    name: str
    parameters: _Parameters | None = None


class _InferBody(Struct):
    inputs: list[_InputBody]
    id: str | None = None
    parameters: _Parameters | None = None
    outputs: list[_OutputBody] | None = None


@dataclass(frozen=True)
class AnswerOptions:
    """Options of a response: the request's id, and which outputs are binary.

    `binary` is the default for outputs that `each` doesn't name.
    """

    id: str = ""
    binary: bool = False
    each: tuple[tuple[str, bool], ...] = ()

    def is_binary(self, name: str) -> bool:
        """Return whether an output is binary."""
        return dict(self.each).get(name, self.binary)


@dataclass(frozen=True)
class V2Request:
    """A parsed body: the inference request, the options of its response, and the client's timeout."""

    wanted: InferRequest
    answer: AnswerOptions
    timeout_s: float | None = None


def find_json_length(header: str | None, body: bytes) -> int:
    """Return the length of the JSON according to the header, that of the body if there is none; raises BodyError."""
    if header is None:
        return len(body)
    length = int(header) if header.isascii() and header.isdecimal() and len(header) < 16 else -1
    if not 0 <= length <= len(body):
        raise BodyError(f"{LENGTH_HEADER}: expected 0 to {len(body)}, received {brief(header)}")
    if length > HEADER_LIMIT_BYTES and length < len(body):
        raise BodyError(
            f"{LENGTH_HEADER}: expected at most {HEADER_LIMIT_BYTES} before binary tensors, received {length}"
        )
    return length


def read_request(body: bytes, length: int) -> V2Request:
    """Parse a body with `length` bytes of JSON; slow for megabytes of JSON. Raises BodyError and TensorError."""
    view = memoryview(body)
    try:
        parsed = msgspec.json.decode(view[:length], type=_InferBody)
    except RecursionError as error:
        raise BodyError(
            "body: expected JSON of an inference request, received JSON that is nested too deeply"
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(f"body: expected JSON of an inference request: {error}") from error
    tensors, start = [], length
    for given in parsed.inputs:
        size = _read_size(given)
        if size is not None and size > len(body) - start:
            raise TensorError(f"{brief(given.name)}: expected {size} bytes, received {len(body) - start}")
        shape = check_shape(given.name, given.shape)
        if size is None:
            tensors.append(_from_json(given, shape))
        else:
            tensors.append(from_bytes(given.name, given.datatype, shape, view[start : start + size]))
        start += size or 0
    if start != len(body):
        raise BodyError(f"body: expected {start} bytes, received {len(body)}")
    return V2Request(
        InferRequest(tuple(tensors), tuple(output.name for output in parsed.outputs or ())),
        _read_answer_options(parsed),
        _read_timeout_s(parsed.parameters or {}),
    )


def read_raw_request(body: bytes, manifest: Manifest) -> V2Request:
    """Parse a body without JSON: the raw bytes of the model's only input, or an encoded picture.

    For a picture input, a body whose length doesn't match the tensor is taken as an encoded picture. Raises BodyError
    for a model with several inputs, and TensorError.
    """
    if len(manifest.inputs) > 1:
        raise BodyError(f"body: {manifest.name} has {len(manifest.inputs)} inputs: expected JSON that names them")
    (port,) = manifest.inputs
    datatype, shape = DATATYPES[port.dtype], describe_shape(port, manifest)
    size = -math.prod(shape) * find_type(port.name, datatype).itemsize if shape.count(-1) == 1 else 0
    if size > 0:
        shape[shape.index(-1)] = len(body) // size
    is_raw = min(shape, default=1) > 0 and len(body) == math.prod(shape) * find_type(port.name, datatype).itemsize
    if is_raw or not isinstance(port, PictureInput):
        tensor = from_bytes(port.name, datatype, tuple(shape), body)
    else:
        tensor = Tensor(port.name, BYTES, (1,), [body])
    return V2Request(InferRequest((tensor,)), AnswerOptions(binary=True))


def _read_size(given: _InputBody) -> int | None:
    """Return the size of a binary tensor in bytes, None for a tensor inside the JSON."""
    parameters = given.parameters or {}
    for name in ("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"):
        if name in parameters:
            raise TensorError(f"{brief(given.name)}: {name}: shared memory isn't supported")
    size = parameters.get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise TensorError(f"{brief(given.name)}: binary_data_size: expected a number of bytes, received {brief(size)}")
    if bytes(given.data):
        raise TensorError(f"{brief(given.name)}: expected data or binary_data_size, received both")
    return size


def _from_json(given: _InputBody, shape: tuple[int, ...]) -> Tensor:
    if not bytes(given.data):
        raise TensorError(f"{brief(given.name)}: expected data, or binary_data_size and the bytes after the JSON")
    if given.datatype == BYTES:
        return Tensor(given.name, BYTES, shape, _decode_elements(given, shape))
    dtype = find_type(given.name, given.datatype)
    values = json_arrays.parse_array(given.name, bytes(given.data), dtype, shape, flat=True)
    return Tensor(given.name, given.datatype, shape, values)


def _decode_elements(given: _InputBody, shape: tuple[int, ...]) -> list[bytes]:
    """Decode the elements of a BYTES tensor, which are base64 because pictures aren't text."""
    try:
        nested = msgspec.json.decode(given.data, type=list[bytes | list[bytes]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TensorError(f"{brief(given.name)}: data: expected a list of base64 strings: {error}") from error
    elements = [element for part in nested for element in ([part] if isinstance(part, bytes) else part)]
    if len(elements) != int(np.prod(shape)):
        raise TensorError(f"{brief(given.name)}: expected {int(np.prod(shape))} elements, received {len(elements)}")
    return elements


def _read_answer_options(parsed: _InferBody) -> AnswerOptions:
    each = []
    for output in parsed.outputs or ():
        parameters = output.parameters or {}
        if parameters.get("classification"):
            raise TensorError(f"{brief(output.name)}: classification isn't supported")
        if "shared_memory_region" in parameters:
            raise TensorError(f"{brief(output.name)}: shared memory isn't supported")
        if "binary_data" in parameters:
            each.append((output.name, _read_flag(parameters, "binary_data")))
    return AnswerOptions(parsed.id or "", _read_flag(parsed.parameters or {}, "binary_data_output"), tuple(each))


def _read_flag(parameters: _Parameters, name: str) -> bool:
    value = parameters.get(name) or False
    if not isinstance(value, bool):
        raise BodyError(f"parameters: {name}: expected true or false, received {brief(value)}")
    return value


def _read_timeout_s(parameters: _Parameters) -> float | None:
    """Return the parameter `timeout`, which is in microseconds; as in Triton, 0 means no limit."""
    timeout = parameters.get("timeout") or 0
    if isinstance(timeout, bool) or not isinstance(timeout, int) or not 0 <= timeout < 2**64:
        raise BodyError(f"parameters: timeout: expected microseconds, received {brief(timeout)}")
    return timeout / 1e6 or None


def write_answer(manifest: Manifest, outputs: Sequence[Tensor], options: AnswerOptions) -> tuple[bytes, int | None]:
    """Return the body and the length of its JSON, None if no output is binary; slow for megabytes of JSON."""
    described, binary = [], []
    for tensor in outputs:
        entry: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
        if options.is_binary(tensor.name):
            binary.append(to_bytes(tensor))
            entry["parameters"] = {"binary_data_size": len(binary[-1])}
        elif isinstance(tensor.values, np.ndarray):
            entry["data"] = msgspec.Raw(json_arrays.write_flat(tensor.values))
        else:
            entry["data"] = [b64encode(element).decode() for element in tensor.values]
        described.append(entry)
    answer: dict[str, Any] = {"model_name": manifest.name, "model_version": str(manifest.version)}
    if options.id:
        answer["id"] = options.id
    head = msgspec.json.encode(answer | {"outputs": described})
    return b"".join((head, *binary)), len(head) if binary else None
