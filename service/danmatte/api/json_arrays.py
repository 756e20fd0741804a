"""Parsing and writing of large arrays as JSON, in small steps so that other threads can run in between.

The input has to be well-formed JSON. An array's structure is its text without the numbers: `[[,],[,]]` for 2×2.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from danmatte.api.tensor_bytes import describe_type
from danmatte.errors import TensorError, brief

_STEP_BYTES: Final = 2**16
_STEP_VALUES: Final = 2**14
_BLANKS: Final = b" \t\r\n"
_BRACKETS: Final = b"[]"
_NUMBERS: Final = b"0123456789+-.eE"
_LETTERS: Final = b"truefals"


def parse_array(
    name: str, text: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], *, flat: bool = False
) -> npt.NDArray[Any]:
    """Parse an array of this shape, given as nested lists or, if `flat` is set, also as one flat list.

    A side of -1 is inferred from the text. Raises TensorError.
    """
    parts: list[npt.NDArray[Any]] = []
    structure = bytearray()
    scalars = _NUMBERS + _LETTERS if dtype.kind == "b" else _NUMBERS
    for piece in _split(text):
        structure += b"," * bool(parts) + piece.translate(None, _BLANKS + scalars)
        parts.append(_parse_piece(name, piece, dtype))
    values = np.concatenate(parts)
    if -1 in shape:
        found = _infer_shape(bytes(structure), len(shape))
        if len(found) != len(shape):
            raise TensorError(f"{brief(name)}: expected numbers nested {len(shape)} deep, received {len(found)}")
        shape = tuple(there if side == -1 else side for side, there in zip(shape, found, strict=True))
    if len(values) != math.prod(shape):
        raise TensorError(f"{brief(name)}: expected {math.prod(shape)} numbers for {shape}, received {len(values)}")
    if structure != _build_structure(shape) and not (flat and structure == _build_structure((len(values),))):
        raise TensorError(f"{brief(name)}: expected numbers nested as {shape}")
    return values.reshape(shape)


def write_flat(values: npt.NDArray[Any]) -> bytes:
    """Return the values as a flat JSON list."""
    row = values.reshape(-1)
    parts = (row[start : start + _STEP_VALUES].tolist() for start in range(0, row.size, _STEP_VALUES))
    return b"[" + b",".join(msgspec.json.encode(part)[1:-1] for part in parts) + b"]"


def write_nested(values: npt.NDArray[Any]) -> bytes:
    """Return the values as nested JSON lists."""
    if values.size <= _STEP_VALUES or values.ndim == 1:
        return msgspec.json.encode(values.tolist())
    return b"[" + b",".join(write_nested(part) for part in values) + b"]"


def _split(text: bytes) -> Iterator[bytes]:
    """Split the text at commas, into pieces of at least `_STEP_BYTES` except the last."""
    start = 0
    while start <= len(text):
        end = text.find(b",", start + _STEP_BYTES)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + 1


def _parse_piece(name: str, piece: bytes, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    numbers = b"[" + piece.translate(None, _BRACKETS) + b"]"
    try:
        if dtype.kind == "b":
            return np.array(msgspec.json.decode(numbers, type=list[bool]), dtype)
        if dtype.kind == "f":
            with np.errstate(over="raise"):
                return np.array(msgspec.json.decode(numbers, type=list[float]), np.float64).astype(dtype)
        integers = _parse_integers(numbers)
        if dtype == np.uint8:  # bytes() checks the range, and is fastest
            return np.frombuffer(bytes(integers), np.uint8)
        return np.array(integers, dtype)
    except (ValueError, OverflowError, FloatingPointError) as error:
        raise TensorError(f"{brief(name)}: expected {describe_type(dtype)}: {error}") from error


def _parse_integers(numbers: bytes) -> list[int]:
    """Parse integers, including floats without a fraction such as 12.0; raises ValueError."""
    try:
        return msgspec.json.decode(numbers, type=list[int])
    except msgspec.ValidationError:
        floats = msgspec.json.decode(numbers, type=list[float])
        if not all(value.is_integer() for value in floats):
            raise
        return [int(value) for value in floats]


def _infer_shape(structure: bytes, max_sides: int) -> tuple[int, ...]:
    """Return the shape of an array with this structure, read from the first item of each list.

    It is correct only for a regular array, which the caller has to check.
    """
    sides: list[int] = []
    while structure.startswith(b"[") and len(sides) <= max_sides:
        end = structure.find(b"]")
        inner = structure[structure.rfind(b"[", 0, end) : end + 1]
        sides.insert(0, inner.count(b",") + 1)
        structure = structure.replace(inner, b"")
    return tuple(sides)


def _build_structure(shape: tuple[int, ...]) -> bytes:
    inner = b""
    for side in reversed(shape):
        inner = b"[" + b",".join([inner] * side) + b"]"
    return inner
