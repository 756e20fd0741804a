"""TensorFlow Serving's REST API: predict, status, metadata. For gRPC, see `api.grpc.services.prediction`."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from aiohttp import web

from danmatte.api import json_arrays
from danmatte.api.catalogue import Catalogue
from danmatte.api.delivery import deliver
from danmatte.api.openapi.operations import DEADLINE_HEADER, describe_json, describe_operation, list_model_paths
from danmatte.api.protocol import HttpProtocol, Shared
from danmatte.api.tfs.request import read_request
from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import Input, Output
from danmatte.errors import DeadlineError
from danmatte.http.body import read_body
from danmatte.http.errors import build_retry_headers, refuse
from danmatte.http.query import read_timeout_s
from danmatte.http.request_keys import TIMING, identify_caller
from danmatte.inference.request import Request, Requests, VersionSelector
from danmatte.inference.tensors import MASK, Tensor, describe_shape
from danmatte.models.listing import VersionListing
from danmatte.telemetry.timing import Timing

# TensorFlow's names of the contract's number types.
_DTYPES: Final = {
    "boolean": "DT_BOOL",
    **{f"u{bits}": f"DT_UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"i{bits}": f"DT_INT{bits}" for bits in (8, 16, 32, 64)},
    "f16": "DT_HALF",
    "f32": "DT_FLOAT",
    "f64": "DT_DOUBLE",
}
# TensorFlow Serving's names of version states; a version in the state `available` is opened at its first request.
_STATES: Final = {"available": "AVAILABLE", "ready": "AVAILABLE", "failed": "END"}


class TfsRoutes(HttpProtocol):
    """The routes under `/v1/models/<name>`."""

    tag = ("tfs", "TensorFlow Serving's REST API")
    prefixes = (("/v1/models/", "tfs"),)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._catalogue = Catalogue(shared.requests)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        found: dict[str, Any] = {}
        body = {"requestBody": {"required": True, "content": describe_json("Predict")}}
        for path, where in list_model_paths("/v1/models/{name}", models, "version", "label"):
            states, signatures = describe_json("VersionStates"), describe_json("Signatures")
            found[path] = {"get": describe_operation("tfs", "States of the model's versions", states, where)}
            found[f"{path}/metadata"] = {"get": describe_operation("tfs", "Signatures of the model", signatures, where)}
            summary = "Inference: predictions for rows, outputs for columns"
            predict = describe_operation("tfs", summary, describe_json("Predictions"), [*where, DEADLINE_HEADER])
            found[f"{path}:predict"] = {"post": predict | body}
        return found

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        found: list[web.RouteDef] = []
        for model in (
            "/v1/models/{name:[^/:]+}",
            "/v1/models/{name:[^/:]+}/versions/{version:[^/:]+}",
            "/v1/models/{name:[^/:]+}/labels/{label:[^/:]+}",
        ):
            found += [
                web.post(f"{model}:predict", self.predict),
                web.get(model, self.describe_status),
                web.get(f"{model}/metadata", self.describe_signatures),
            ]
        return found

    async def predict(self, http: web.Request) -> web.StreamResponse:
        """Return predictions for rows, or outputs for columns; a missed deadline is 504, as in TensorFlow Serving."""
        timing = http[TIMING] = Timing()
        selector, timeout_s = _select(http), read_timeout_s(http.headers)
        try:
            async with self._requests.open(identify_caller(http)) as request:

                async def answer() -> bytes:
                    data = await read_body(http, self._settings.upload_s, "a predict request", request.hold)
                    async with request.deadline(timeout_s):
                        answered = await _predict(request, data, selector, timing, timeout_s)
                    request.release(len(data))
                    return answered

                headers = {"Content-Type": "application/json", "Server-Timing": str(timing)}
                return await deliver(http, request, await answer(), headers)
        except DeadlineError as error:
            late = refuse(http, str(error), error.code, 504)
            late.headers.update(build_retry_headers(error))
            return late

    async def describe_status(self, http: web.Request) -> web.Response:
        """Return the state of every version, or of the requested one."""
        states = await list_states(self._requests, self._catalogue, _select(http))
        return web.json_response({"model_version_status": states})

    async def describe_signatures(self, http: web.Request) -> web.Response:
        """Return the inputs and outputs of every signature."""
        manifest = (await self._requests.find(_select(http))).manifest
        spec = {"name": manifest.name, "signature_name": "", "version": str(manifest.version)}
        signatures = {"signature_def": build_signatures(manifest)}
        return web.json_response({"model_spec": spec, "metadata": {"signature_def": signatures}})


async def list_states(requests: Requests, catalogue: Catalogue, selector: VersionSelector) -> list[dict[str, Any]]:
    """Return the states of all versions, or of the selected one, as JSON objects of ModelVersionStatus.

    Raises the same errors as `Requests.find`.
    """
    model = catalogue.find_model(selector.model)
    versions = model.versions
    if selector.version is not None or selector.label:
        wanted = (await requests.find(selector)).manifest.version  # this may open the version
        model = catalogue.find_model(selector.model)
        versions = [entry for entry in model.versions if entry.version == wanted]
    return [_describe_state(entry, unloaded=model.unloaded) for entry in versions]


async def _predict(
    request: Request, data: bytes, selector: VersionSelector, timing: Timing, timeout_s: float | None
) -> bytes:
    manifest = (await request.find(selector)).manifest
    with timing.phase("decode"):
        wanted, in_rows = await asyncio.to_thread(read_request, data, manifest)
    _, outputs = await request.infer(wanted, VersionSelector.of(manifest), timing, timeout_s)
    with timing.phase("encode"):
        return await asyncio.to_thread(_write_answer, outputs, in_rows)


def _select(http: web.Request) -> VersionSelector:
    names = http.match_info
    return VersionSelector.parse_tfs(names["name"], names.get("version", ""), names.get("label", ""))


def _write_answer(outputs: Sequence[Tensor], in_rows: bool) -> bytes:
    """Write the outputs as rows or columns; a single output is written without its name."""
    if len(outputs) == 1:
        values = _write_values(outputs[0])
    elif in_rows:
        count = outputs[0].shape[0]
        values = b"[%s]" % b",".join(_write_named([_pick_row(each, row) for each in outputs]) for row in range(count))
    else:
        values = _write_named(outputs)
    return b'{"%s": %s}' % (b"predictions" if in_rows else b"outputs", values)


def _write_named(outputs: Sequence[Tensor]) -> bytes:
    return b"{%s}" % b",".join(msgspec.json.encode(each.name) + b":" + _write_values(each) for each in outputs)


def _write_values(output: Tensor) -> bytes:
    if isinstance(output.values, np.ndarray):
        return json_arrays.write_nested(output.values)
    return msgspec.json.encode([{"b64": b64encode(element).decode()} for element in output.values])


def _pick_row(output: Tensor, row: int) -> Tensor:
    values = np.asarray(output.values[row])
    return Tensor(output.name, output.datatype, values.shape, values)


def _describe_state(entry: VersionListing, *, unloaded: bool) -> dict[str, Any]:
    status = {"error_code": "INTERNAL" if entry.reason else "OK", "error_message": entry.reason}
    return {"version": str(entry.version), "state": "END" if unloaded else _STATES[entry.state], "status": status}


def build_signatures(manifest: Manifest) -> dict[str, Any]:
    """Return the signatures by name, as JSON objects of SignatureDef."""

    def describe_port(name: str, dtype: str, *sides: int) -> dict[str, Any]:
        dims = [{"size": str(side), "name": ""} for side in sides]
        return {name: {"dtype": dtype, "tensor_shape": {"dim": dims, "unknown_rank": False}, "name": f"{name}:0"}}

    def describe_ports(ports: Sequence[Input | Output]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for port in ports:
            found |= describe_port(port.name, _DTYPES[port.dtype], *describe_shape(port, manifest))
        return found

    method = {"method_name": "tensorflow/serving/predict"}
    found = {
        "serving_default": {
            "inputs": describe_ports(manifest.inputs),
            "outputs": describe_ports(manifest.outputs),
            **method,
        }
    }
    if manifest.makes_masks:
        inputs = describe_port(manifest.picture.name, "DT_STRING", -1)
        found[MASK] = {"inputs": inputs, "outputs": describe_port(MASK, "DT_STRING", -1), **method}
    return found
