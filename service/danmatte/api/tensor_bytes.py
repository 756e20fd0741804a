"""Tensors as bytes, the way V2 sends them over HTTP and gRPC: little-endian, row-major."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import numpy as np

from danmatte.errors import TensorError, brief
from danmatte.inference.tensors import Tensor

Buffer: TypeAlias = bytes | memoryview
RANK: Final = 8
_PREFIX: Final = struct.Struct("<I")


def check_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple of 1 to 8 positive sides; raises TensorError."""
    if not 1 <= len(shape) <= RANK or min(shape) < 1:
        raise TensorError(f"{brief(name)}: shape: expected 1 to {RANK} positive sides, received {brief(list(shape))}")
    return tuple(shape)


def from_bytes(name: str, datatype: str, shape: tuple[int, ...], data: Buffer) -> Tensor:
    """A UINT8 tensor as a view of the data, or a BYTES one as its elements; raises TensorError."""
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, list(_split_elements(name, count, memoryview(data))))
    if datatype != "UINT8":
        raise TensorError(f"{brief(name)}: datatype: expected UINT8 or BYTES, received {brief(datatype)}")
    if len(data) != count:
        raise TensorError(f"{brief(name)}: expected {count} bytes for shape {list(shape)}, received {len(data)}")
    return Tensor(name, datatype, shape, np.frombuffer(data, np.uint8).reshape(shape))


def to_bytes(tensor: Tensor) -> bytes:
    """The tensor's values, BYTES elements with their length before them."""
    if isinstance(tensor.values, np.ndarray):
        return tensor.values.tobytes()
    return b"".join(part for element in tensor.values for part in (_PREFIX.pack(len(element)), element))


def _split_elements(name: str, count: int, data: memoryview) -> Iterator[bytes]:
    """Exactly `count` elements, each after its 4-byte length, and nothing behind the last."""
    start, found = 0, 0
    while start < len(data) and found < count:
        if len(data) - start < _PREFIX.size:
            break
        (length,) = _PREFIX.unpack_from(data, start)
        start += _PREFIX.size
        if length > len(data) - start:
            raise TensorError(f"{brief(name)}: element {found}: expected {length} bytes, {len(data) - start} are left")
        yield bytes(data[start : start + length])
        start, found = start + length, found + 1
    if found != count or start != len(data):
        raise TensorError(f"{brief(name)}: expected {count} elements, each after its length, and nothing more")
