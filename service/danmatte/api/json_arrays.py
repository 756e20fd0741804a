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

from danmatte.errors import TensorError, brief
from danmatte.frame import Pixels

_STEP_BYTES: Final = 2**16
_STEP_VALUES: Final = 2**14
_BLANKS: Final = b" \t\r\n"
_BRACKETS: Final = b"[]"
_NUMBERS: Final = b"0123456789+-.eE"


def parse_pixels(name: str, text: bytes, shape: tuple[int, ...], *, flat: bool = False) -> Pixels:
    """The uint8 array of this shape, nested in the text or, where `flat` lets it, in one row.

    A first side of -1 takes as many as come. Raises TensorError.
    """
    values = bytearray()
    structure = bytearray()
    for piece in _split(text):
        structure += b"," * bool(values or structure) + piece.translate(None, _BLANKS + _NUMBERS)
        values += _parse_bytes(name, piece)
    if shape[0] == -1:
        shape = (max(1, len(values) // math.prod(shape[1:])), *shape[1:])
    if len(values) != math.prod(shape):
        raise TensorError(f"{brief(name)}: expected {math.prod(shape)} numbers for {shape}, received {len(values)}")
    if structure != _build_structure(shape) and not (flat and structure == _build_structure((len(values),))):
        raise TensorError(f"{brief(name)}: expected numbers nested as {shape}")
    return np.frombuffer(values, np.uint8).reshape(shape)


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


def _parse_bytes(name: str, piece: bytes) -> bytes:
    numbers = b"[" + piece.translate(None, _BRACKETS) + b"]"
    try:
        return bytes(_parse_integers(numbers))
    except ValueError as error:
        raise TensorError(f"{brief(name)}: expected integers from 0 to 255: {error}") from error


def _parse_integers(numbers: bytes) -> list[int]:
    """The numbers, of which 12.0 is one; raises ValueError."""
    try:
        return msgspec.json.decode(numbers, type=list[int])
    except msgspec.ValidationError:
        floats = msgspec.json.decode(numbers, type=list[float])
        if not all(value.is_integer() for value in floats):
            raise
        return [int(value) for value in floats]


def _build_structure(shape: tuple[int, ...]) -> bytes:
    inner = b""
    for side in reversed(shape):
        inner = b"[" + b",".join([inner] * side) + b"]"
    return inner
