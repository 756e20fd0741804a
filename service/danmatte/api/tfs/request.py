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
from danmatte.inference.tensors import MASK, InferRequest, Tensor

# Signatures by name, and what each answers with; None is the graph's own output.
SIGNATURES: Final[dict[str, str | None]] = {"serving_default": None, MASK: MASK}
_NOTHING: Final = Raw()


class _PredictBody(Struct):
    signature_name: str = ""
    instances: Raw = _NOTHING
    inputs: Raw = _NOTHING


class _EncodedPicture(Struct, forbid_unknown_fields=True):
    b64: str


def read_request(body: bytes, manifest: Manifest) -> tuple[InferRequest, bool]:
    """What is asked, and whether in rows; takes long for megabytes of JSON. Raises BodyError, TensorError."""
    try:
        asked = msgspec.json.decode(body, type=_PredictBody)
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
    tensor = _read_rows(rows, manifest.input) if rows else _read_columns(columns, manifest.input)
    wanted = SIGNATURES[signature]
    return InferRequest((tensor,), (wanted,) if wanted else ()), bool(rows)


def _read_rows(text: bytes, port: Input) -> Tensor:
    """A list: of pictures, or of objects that are one or name one."""
    if not text.startswith(b"["):
        raise TensorError("instances: expected a list")
    if text[1:].lstrip().startswith(b"["):
        return _read_pixels(text, port)
    rows = [_strip_name(bytes(row), port) for row in _split_list(text, "instances")]
    if rows and all(row.startswith(b"[") for row in rows):
        values = np.stack([json_arrays.parse_pixels(port.name, row, port.shape[1:]) for row in rows])
        return Tensor(port.name, "UINT8", values.shape, values)
    return _read_pictures(rows, port)


def _read_columns(text: bytes, port: Input) -> Tensor:
    """The whole batch, or an object that names it."""
    text = _strip_name(text, port)
    if text.startswith(b"{"):
        return _read_pictures([text], port)
    if text[1:].lstrip().startswith(b"["):
        return _read_pixels(text, port)
    return _read_pictures([bytes(row) for row in _split_list(text, "inputs")], port)


def _strip_name(text: bytes, port: Input) -> bytes:
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


def _split_list(text: bytes, place: str) -> list[Raw]:
    try:
        return msgspec.json.decode(text, type=list[Raw])
    except msgspec.MsgspecError as error:
        raise TensorError(f"{place}: expected a list: {error}") from error


def _read_pixels(text: bytes, port: Input) -> Tensor:
    values = json_arrays.parse_pixels(port.name, text, (-1, *port.shape[1:]))
    return Tensor(port.name, "UINT8", values.shape, values)


def _read_pictures(rows: Sequence[bytes], port: Input) -> Tensor:
    try:
        values = [b64decode(msgspec.json.decode(row, type=_EncodedPicture).b64, validate=True) for row in rows]
    except (ValueError, UnicodeDecodeError) as error:
        raise TensorError(f'{port.name}: expected pixels, or {{"b64": …}} of a picture: {error}') from error
    return Tensor(port.name, "BYTES", (len(values),), values)
