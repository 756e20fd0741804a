"""Parsing of TensorFlow Serving predict requests: rows (`instances`) or columns (`inputs`), never both.

Numbers are nested lists; encoded pictures are `{"b64": …}`. If the model has a single input, its name may be omitted.
"""

from base64 import b64decode
from typing import Final

import msgspec
from msgspec import Raw, Struct

from danmatte.api import json_arrays
from danmatte.api.tensor_bytes import NUMPY
from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.contract.ports import Input
from danmatte.errors import BodyError, TensorError, brief
from danmatte.inference.tensors import BYTES, DATATYPES, MASK, MAX_BATCH, InferRequest, Tensor, describe_shape

# Signatures by name, each with the output that it returns; None means all outputs of the graph.
SIGNATURES: Final[dict[str, str | None]] = {"serving_default": None, MASK: MASK}
_NOTHING: Final = Raw()


class _PredictBody(Struct):
    signature_name: str = ""
    instances: Raw = _NOTHING
    inputs: Raw = _NOTHING


class _EncodedPicture(Struct, forbid_unknown_fields=True):
    b64: str


def list_signatures(manifest: Manifest) -> list[str]:
    """Return the names of the model's signatures."""
    return [name for name in SIGNATURES if name != MASK or manifest.makes_masks]


def read_request(body: bytes, manifest: Manifest) -> tuple[InferRequest, bool]:
    """Parse a request, and return it with whether it is in rows; slow for megabytes of JSON.

    Raises BodyError and TensorError.
    """
    try:
        parsed = msgspec.json.decode(body, type=_PredictBody)
    except RecursionError as error:
        raise BodyError("body: expected JSON of a predict request, received JSON that is nested too deeply") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BodyError(f"body: expected JSON of a predict request: {error}") from error
    rows, columns = bytes(parsed.instances).strip(), bytes(parsed.inputs).strip()
    if bool(rows) == bool(columns):
        raise BodyError(f"body: expected instances or inputs, received {'both' if rows else 'neither'}")
    signature = parsed.signature_name or "serving_default"
    if signature not in list_signatures(manifest):
        raise TensorError(
            f"signature_name: unknown {brief(signature)}{did_you_mean(signature, list_signatures(manifest))}"
        )
    columns_by_name = _transpose_rows(rows, manifest) if rows else _name_columns(columns, manifest)
    tensors = tuple(_read_value(columns_by_name[port.name], port, manifest) for port in manifest.inputs)
    wanted = SIGNATURES[signature]
    return InferRequest(tensors, (wanted,) if wanted else ()), bool(rows)


def _transpose_rows(text: bytes, manifest: Manifest) -> dict[str, bytes]:
    """Return the JSON of each input's values over all rows; a row is an item, or an object with the inputs by name."""
    if not text.startswith(b"["):
        raise TensorError("instances: expected a list")
    if not manifest.takes_batches:
        raise TensorError(f"instances: {manifest.name} takes one item at a time; expected it in inputs")
    if not text[1:-1].strip():
        raise TensorError(f"instances: expected 1 to {MAX_BATCH} items, received none")
    if not text[1:].lstrip().startswith(b"{"):
        return {_get_only_input(manifest): text}
    rows = [_name_columns(bytes(row).strip(), manifest) for row in _split_list(text, "instances")]
    return {port.name: b"[%s]" % b",".join(row[port.name] for row in rows) for port in manifest.inputs}


def _name_columns(text: bytes, manifest: Manifest) -> dict[str, bytes]:
    """Return the JSON of each input's value; the text is an object by input name, or the value of the only input."""
    if not text.startswith(b"{"):
        return {_get_only_input(manifest): text}
    try:
        table = msgspec.json.decode(text, type=dict[str, Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise TensorError(f"inputs: {error}") from error
    if "b64" in table:
        return {_get_only_input(manifest): text}
    expected = [port.name for port in manifest.inputs]
    if sorted(table) != sorted(expected):
        raise TensorError(f"inputs: expected {', '.join(map(repr, expected))}, received {brief(sorted(table))}")
    return {name: bytes(value).strip() for name, value in table.items()}


def _get_only_input(manifest: Manifest) -> str:
    if len(manifest.inputs) > 1:
        names = ", ".join(repr(port.name) for port in manifest.inputs)
        raise TensorError(f"inputs: expected an object of {names}")
    return manifest.inputs[0].name


def _split_list(text: bytes, place: str) -> list[Raw]:
    try:
        return msgspec.json.decode(text, type=list[Raw])
    except msgspec.MsgspecError as error:
        raise TensorError(f"{place}: expected a list: {error}") from error


def _read_value(text: bytes, port: Input, manifest: Manifest) -> Tensor:
    """Read an input's numbers or encoded pictures."""
    is_one = text.startswith(b"{")
    if is_one or text[1:].lstrip().startswith(b"{"):
        rows = [text] if is_one else [bytes(row) for row in _split_list(text, port.name)]
        try:
            pictures = [b64decode(msgspec.json.decode(row, type=_EncodedPicture).b64, validate=True) for row in rows]
        except (ValueError, UnicodeDecodeError) as error:
            raise TensorError(f'{port.name}: expected numbers, or {{"b64": …}} of a picture: {error}') from error
        return Tensor(port.name, BYTES, (len(pictures),), pictures)
    shape = tuple(describe_shape(port, manifest))
    datatype = DATATYPES[port.dtype]
    values = json_arrays.parse_array(port.name, text, NUMPY[datatype], shape)
    return Tensor(port.name, datatype, values.shape, values)
