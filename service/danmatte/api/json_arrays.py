"""Arrays of numbers as JSON text, megabytes of it, in steps so small that other threads run meanwhile.

Only JSON that was found well-formed before comes here. An array's structure is its text without the numbers:
`[[,],[,]]` for 2×2.
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
    """The array of this shape, nested in the text or, where `flat` lets it, in one row.

    A side of -1 takes as many as come. Raises TensorError.
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
    """The values in one row."""
    row = values.reshape(-1)
    parts = (row[start : start + _STEP_VALUES].tolist() for start in range(0, row.size, _STEP_VALUES))
    return b"[" + b",".join(msgspec.json.encode(part)[1:-1] for part in parts) + b"]"


def write_nested(values: npt.NDArray[Any]) -> bytes:
    """The values as lists of lists."""
    if values.size <= _STEP_VALUES or values.ndim == 1:
        return msgspec.json.encode(values.tolist())
    return b"[" + b",".join(write_nested(part) for part in values) + b"]"


def _split(text: bytes) -> Iterator[bytes]:
    """The text cut at commas."""
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
        if dtype == np.uint8:  # which is checked for its range, and fastest
            return np.frombuffer(bytes(integers), np.uint8)
        return np.array(integers, dtype)
    except (ValueError, OverflowError, FloatingPointError) as error:
        raise TensorError(f"{brief(name)}: expected {describe_type(dtype)}: {error}") from error


def _parse_integers(numbers: bytes) -> list[int]:
    """The numbers, of which 12.0 is one; raises ValueError."""
    try:
        return msgspec.json.decode(numbers, type=list[int])
    except msgspec.ValidationError:
        floats = msgspec.json.decode(numbers, type=list[float])
        if not all(value.is_integer() for value in floats):
            raise
        return [int(value) for value in floats]


def _infer_shape(structure: bytes, most: int) -> tuple[int, ...]:
    """The shape of an array with this structure, if it is a regular one: the first item of each list counts."""
    sides: list[int] = []
    while structure.startswith(b"[") and len(sides) <= most:
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
