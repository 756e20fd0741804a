"""Binary tensors as V2 sends them over HTTP and gRPC: little-endian, row-major."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from danmatte.contract.near_words import did_you_mean
from danmatte.errors import TensorError, brief
from danmatte.inference.tensors import BYTES, DATATYPES, Tensor

Buffer: TypeAlias = bytes | memoryview
RANK: Final = 8
_PREFIX: Final = struct.Struct("<I")
NUMPY: Final = {
    datatype: np.dtype("?" if word == "boolean" else f"<{word[0]}{int(word[1:]) // 8}")
    for word, datatype in DATATYPES.items()
}
"""NumPy types of the numbers in messages, by the Open Inference Protocol's names."""


def check_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape as a tuple of at most 8 positive sides; raises TensorError."""
    if len(shape) > RANK or min(shape, default=1) < 1:
        expected = f"up to {RANK} positive sides"
        raise TensorError(f"{brief(name)}: shape: expected {expected}, received {brief(list(shape))}")
    return tuple(shape)


def find_type(name: str, datatype: str) -> np.dtype[Any]:
    """Return the NumPy type of a datatype other than BYTES; raises TensorError."""
    if datatype not in NUMPY:
        known = did_you_mean(datatype, [*NUMPY, BYTES])
        raise TensorError(f"{brief(name)}: datatype: unknown {brief(datatype)}{known}")
    return NUMPY[datatype]


def describe_type(dtype: np.dtype[Any]) -> str:
    """Describe the values of this type, for error messages."""
    if dtype.kind in "bf":
        return "true or false" if dtype.kind == "b" else f"numbers of {8 * dtype.itemsize} bits"
    limits = np.iinfo(dtype)
    return f"integers from {limits.min} to {limits.max}"


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: Buffer) -> Tensor:
    """Read a tensor: numbers as a view of the data, BYTES as a list of elements; raises TensorError."""
    count = math.prod(shape)
    if datatype == BYTES:
        return Tensor(name, datatype, shape, list(_split_elements(name, count, memoryview(data))))
    dtype = find_type(name, datatype)
    if len(data) != count * dtype.itemsize:
        expected = f"{count * dtype.itemsize} bytes for shape {list(shape)} of {datatype}"
        raise TensorError(f"{brief(name)}: expected {expected}, received {len(data)}")
    if datatype == "BOOL" and any(np.frombuffer(data, np.uint8) > 1):
        raise TensorError(f"{brief(name)}: expected 0 or 1 for BOOL")
    return Tensor(name, datatype, shape, np.frombuffer(data, dtype).reshape(shape))


def to_bytes(tensor: Tensor) -> bytes:
    """Return the tensor's values as bytes; each BYTES element is preceded by its length."""
    if isinstance(tensor.values, np.ndarray):
        return tensor.values.astype(NUMPY[tensor.datatype], copy=False).tobytes()
    return b"".join(part for element in tensor.values for part in (_PREFIX.pack(len(element)), element))


def _split_elements(name: str, count: int, data: memoryview) -> Iterator[bytes]:
    """Yield exactly `count` elements, each preceded by its 4-byte length; raises TensorError for any other content."""
    start, found = 0, 0
    while start < len(data) and found < count:
        if len(data) - start < _PREFIX.size:
            break
        (length,) = _PREFIX.unpack_from(data, start)
        start += _PREFIX.size
        if length > len(data) - start:
            raise TensorError(f"{brief(name)}: element {found}: expected {length} bytes, received {len(data) - start}")
        yield bytes(data[start : start + length])
        start, found = start + length, found + 1
    if found != count or start != len(data):
        raise TensorError(f"{brief(name)}: expected exactly {count} elements, each preceded by its length")
