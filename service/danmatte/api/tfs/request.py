"""A TensorFlow Serving predict request, read: rows (`instances`) or columns (`inputs`), never both.

Pixels are nested lists of integers, encoded pictures `{"b64": …}`. The one input needs no name.
"""

from base64 import b64decode
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from msgspec import Raw, Struct

from danmatte.api import json_arrays
from danmatte.contract.manifest import Input, Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.errors import BodyError, TensorError, brief
from danmatte.inference.tensors import MASK, Question, Tensor

# Signatures by name, and what each answers with; None is the graph's own output.
SIGNATURES: Final[dict[str, str | None]] = {"serving_default": None, MASK: MASK}
_NOTHING: Final = Raw()


class _Request(Struct):
    signature_name: str = ""
    instances: Raw = _NOTHING
    inputs: Raw = _NOTHING


class _Encoded(Struct, forbid_unknown_fields=True):
    b64: str


def read(body: bytes, manifest: Manifest) -> tuple[Question, bool]:
    """What is asked, and whether in rows; takes long for megabytes of JSON. Raises BodyError, TensorError."""
    try:
        asked = msgspec.json.decode(body, type=_Request)
    except RecursionError as error:
        raise BodyError("body: expected JSON of a predict request, received it nested too deep") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(f"body: expected JSON of a predict request: {error}") from error
    rows, columns = bytes(asked.instances).strip(), bytes(asked.inputs).strip()
    if bool(rows) == bool(columns):
        raise BodyError(f"body: expected instances or inputs, received {'both' if rows else 'neither'}")
    signature = asked.signature_name or "serving_default"
    if signature not in SIGNATURES:
        raise TensorError(f"signature_name: unknown {brief(signature)}{did_you_mean(signature, list(SIGNATURES))}")
    tensor = _rows(rows, manifest.input) if rows else _columns(columns, manifest.input)
    wanted = SIGNATURES[signature]
    return Question((tensor,), (wanted,) if wanted else ()), bool(rows)


def _rows(text: bytes, port: Input) -> Tensor:
    """A list: of pictures, or of objects that are one or name one."""
    if not text.startswith(b"["):
        raise TensorError("instances: expected a list")
    if text[1:].lstrip().startswith(b"["):
        return _pixels(text, port)
    rows = [_unnamed(bytes(row), port) for row in _listed(text, "instances")]
    if rows and all(row.startswith(b"[") for row in rows):
        return _stacked(rows, port)
    return _pictures(rows, port)


def _columns(text: bytes, port: Input) -> Tensor:
    """The whole batch, or an object that names it."""
    text = _unnamed(text, port)
    if text.startswith(b"{"):
        return _pictures([text], port)
    if text[1:].lstrip().startswith(b"["):
        return _pixels(text, port)
    return _pictures([bytes(row) for row in _listed(text, "inputs")], port)


def _unnamed(text: bytes, port: Input) -> bytes:
    """The value of `{"<input>": …}`; anything else as it is."""
    if not text.startswith(b"{"):
        return text
    try:
        table = msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TensorError(f"{port.name}: {error}") from error
    if "b64" in table:
        return text
    if list(table) != [port.name]:
        raise TensorError(f"inputs: expected {port.name!r}, received {brief(sorted(table))}")
    return bytes(table[port.name]).strip()


def _listed(text: bytes, place: str) -> list[Raw]:
    try:
        return msgspec.json.decode(text, type=list[Raw])
    except msgspec.MsgspecError as error:
        raise TensorError(f"{place}: expected a list: {error}") from error


def _pixels(text: bytes, port: Input) -> Tensor:
    values = json_arrays.pixels(port.name, text, (-1, *port.shape[1:]))
    return Tensor(port.name, "UINT8", values.shape, values)


def _stacked(rows: Sequence[bytes], port: Input) -> Tensor:
    values = np.stack([json_arrays.pixels(port.name, row, port.shape[1:]) for row in rows])
    return Tensor(port.name, "UINT8", values.shape, values)


def _pictures(rows: Sequence[bytes], port: Input) -> Tensor:
    values = [_picture(row, port) for row in rows]
    return Tensor(port.name, "BYTES", (len(values),), values)


def _picture(text: bytes, port: Input) -> bytes:
    try:
        return b64decode(msgspec.json.decode(text, type=_Encoded).b64, validate=True)
    except (ValueError, UnicodeDecodeError) as error:
        raise TensorError(f'{port.name}: expected pixels, or {{"b64": …}} of a picture: {error}') from error
