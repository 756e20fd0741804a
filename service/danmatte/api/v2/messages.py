"""A V2 inference request, read, and its answer, written: JSON, and behind it the tensors of the binary extension."""

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
# More than any honest client says of its tensors, and a JSON that is read in no time.
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
    """How an answer is written: with the request's id, and which outputs in binary."""

    id: str = ""
    binary: bool = False
    each: tuple[tuple[str, bool], ...] = ()

    def is_binary(self, name: str) -> bool:
        """Whether this output is wanted in binary."""
        return dict(self.each).get(name, self.binary)


@dataclass(frozen=True)
class V2Request:
    """A body, read: what is wanted, how the answer is written, and how long the caller waits."""

    wanted: InferRequest
    answer: AnswerOptions
    timeout_s: float | None = None


def find_json_length(header: str | None, body: bytes) -> int:
    """Where the JSON ends, by the header; all of the body without one. Raises BodyError."""
    if header is None:
        return len(body)
    length = int(header) if header.isascii() and header.isdecimal() and len(header) < 16 else -1
    if not 0 <= length <= len(body):
        raise BodyError(f"{LENGTH_HEADER}: expected 0 to {len(body)}, received {brief(header)}")
    if length > HEADER_LIMIT_BYTES and length < len(body):
        raise BodyError(
            f"{LENGTH_HEADER}: expected at most {HEADER_LIMIT_BYTES} with tensors behind, received {length}"
        )
    return length


def read_request(body: bytes, length: int) -> V2Request:
    """The request of a body with this much JSON; takes long for megabytes of it. Raises BodyError, TensorError."""
    view = memoryview(body)
    try:
        asked = msgspec.json.decode(view[:length], type=_InferBody)
    except RecursionError as error:
        raise BodyError("body: expected JSON of an inference request, received it nested too deep") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(f"body: expected JSON of an inference request: {error}") from error
    tensors, start = [], length
    for given in asked.inputs:
        size = _read_size(given)
        if size is not None and size > len(body) - start:
            raise TensorError(f"{brief(given.name)}: expected {size} bytes, {len(body) - start} are left")
        shape = check_shape(given.name, given.shape)
        if size is None:
            tensors.append(_from_json(given, shape))
        else:
            tensors.append(from_bytes(given.name, given.datatype, shape, view[start : start + size]))
        start += size or 0
    if start != len(body):
        raise BodyError(f"body: expected {start} bytes, received {len(body)}")
    return V2Request(
        InferRequest(tuple(tensors), tuple(output.name for output in asked.outputs or ())),
        _read_answer_options(asked),
        _read_timeout_s(asked.parameters or {}),
    )


def read_raw_request(body: bytes, manifest: Manifest) -> V2Request:
    """The request of a body without JSON: the one input itself, or, when its length isn't one's, an encoded picture.

    Raises BodyError for a model of several inputs, and TensorError.
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
    """Bytes behind the JSON, or None for a tensor within it."""
    parameters = given.parameters or {}
    for name in ("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"):
        if name in parameters:
            raise TensorError(f"{brief(given.name)}: {name}: shared memory isn't served")
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
        raise TensorError(f"{brief(given.name)}: expected data, or binary_data_size and the bytes behind the JSON")
    if given.datatype == BYTES:
        return Tensor(given.name, BYTES, shape, _decode_elements(given, shape))
    dtype = find_type(given.name, given.datatype)
    values = json_arrays.parse_array(given.name, bytes(given.data), dtype, shape, flat=True)
    return Tensor(given.name, given.datatype, shape, values)


def _decode_elements(given: _InputBody, shape: tuple[int, ...]) -> list[bytes]:
    """The elements of a BYTES tensor: base64, as pictures aren't text."""
    try:
        nested = msgspec.json.decode(given.data, type=list[bytes | list[bytes]])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TensorError(f"{brief(given.name)}: data: expected a list of base64 strings: {error}") from error
    elements = [element for part in nested for element in ([part] if isinstance(part, bytes) else part)]
    if len(elements) != int(np.prod(shape)):
        raise TensorError(f"{brief(given.name)}: expected {int(np.prod(shape))} elements, received {len(elements)}")
    return elements


def _read_answer_options(asked: _InferBody) -> AnswerOptions:
    each = []
    for output in asked.outputs or ():
        parameters = output.parameters or {}
        if parameters.get("classification"):
            raise TensorError(f"{brief(output.name)}: classification isn't served")
        if "shared_memory_region" in parameters:
            raise TensorError(f"{brief(output.name)}: shared memory isn't served")
        if "binary_data" in parameters:
            each.append((output.name, _read_flag(parameters, "binary_data")))
    return AnswerOptions(asked.id or "", _read_flag(asked.parameters or {}, "binary_data_output"), tuple(each))


def _read_flag(parameters: _Parameters, name: str) -> bool:
    value = parameters.get(name) or False
    if not isinstance(value, bool):
        raise BodyError(f"parameters: {name}: expected true or false, received {brief(value)}")
    return value


def _read_timeout_s(parameters: _Parameters) -> float | None:
    """`timeout` in microseconds; 0 says nothing, as in Triton."""
    timeout = parameters.get("timeout") or 0
    if isinstance(timeout, bool) or not isinstance(timeout, int) or not 0 <= timeout < 2**64:
        raise BodyError(f"parameters: timeout: expected microseconds, received {brief(timeout)}")
    return timeout / 1e6 or None


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
