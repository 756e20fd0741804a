"""TensorFlow Serving's REST: predict, status, metadata. Its gRPC is another protocol, and isn't spoken."""

import asyncio
from base64 import b64encode
from typing import Any, Final

import msgspec
import numpy as np
from aiohttp import web

from danmatte.api import json_arrays
from danmatte.api.served_models import Caller, Models, Named, exactly
from danmatte.api.tfs.request import read
from danmatte.contract.manifest import Manifest
from danmatte.errors import DeadlineError
from danmatte.http.body import body
from danmatte.http.caller import caller
from danmatte.http.errors import refusal
from danmatte.http.query import timeout_s
from danmatte.http.request_keys import TIMING
from danmatte.inference.tensors import MASK, Tensor
from danmatte.telemetry.metrics import Timing

# The repository's words, in TensorFlow Serving's.
_STATES: Final = {
    "available": "AVAILABLE",  # opened for whoever asks
    "loading": "LOADING",
    "warming": "LOADING",
    "ready": "AVAILABLE",
    "draining": "UNLOADING",
    "failed": "END",
    "unloaded": "END",
}


class Tfs:
    """The routes under `/v1/models/<name>`."""

    def __init__(self, models: Models, *, upload_s: float) -> None:
        self._models, self._upload_s = models, upload_s

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        found: list[web.RouteDef] = []
        for model in (
            "/v1/models/{name:[^/:]+}",
            "/v1/models/{name:[^/:]+}/versions/{version:[^/:]+}",
            "/v1/models/{name:[^/:]+}/labels/{label:[^/:]+}",
        ):
            found += [
                web.post(f"{model}:predict", self.predict),
                web.get(model, self.status),
                web.get(f"{model}/metadata", self.metadata),
            ]
        return found

    async def predict(self, request: web.Request) -> web.Response:
        """Rows or columns in, predictions or outputs out; a late answer is 504, as there."""
        timing = request[TIMING] = Timing()
        named, who, patience_s = _named(request), caller(request), timeout_s(request.headers)
        try:
            async with self._models.place(who):
                data = await body(request, self._upload_s, "a predict request")
                async with self._models.deadline(patience_s):
                    answer = await self._predicted(named, data, Caller(who, patience_s), timing)
        except DeadlineError as error:
            late = refusal(request, str(error), error.code, 504)
            late.headers["Retry-After"] = str(error.retry_after_s)
            return late
        return web.Response(body=answer, content_type="application/json", headers={"Server-Timing": str(timing)})

    async def _predicted(self, named: Named, data: bytes, who: Caller, timing: Timing) -> bytes:
        manifest = (await self._models.find(named)).manifest
        with timing.phase("decode"):
            question, in_rows = await asyncio.to_thread(read, data, manifest)
        _, (output,) = await self._models.infer(exactly(manifest), question, who, timing)
        with timing.phase("encode"):
            return await asyncio.to_thread(_written, output, in_rows)

    async def status(self, request: web.Request) -> web.Response:
        """The state of every version, or of the one named."""
        named = _named(request)
        entries = self._models.versions(named.name)
        if named.version or named.label:
            wanted = (await self._models.find(named)).manifest.version
            entries = [entry for entry in self._models.versions(named.name) if entry["version"] == wanted]
        return web.json_response({"model_version_status": [_state(entry) for entry in entries]})

    async def metadata(self, request: web.Request) -> web.Response:
        """Inputs and outputs of every signature."""
        manifest = (await self._models.find(_named(request))).manifest
        spec = {"name": manifest.name, "signature_name": "", "version": str(manifest.version)}
        signatures = {"signature_def": _signatures(manifest)}
        return web.json_response({"model_spec": spec, "metadata": {"signature_def": signatures}})


def _named(request: web.Request) -> Named:
    found = request.match_info
    return Named(found["name"], found.get("version", ""), found.get("label", ""))


def _written(output: Tensor, in_rows: bool) -> bytes:
    if isinstance(output.values, np.ndarray):
        values = json_arrays.nested(output.values)
    else:
        values = msgspec.json.encode([{"b64": b64encode(element).decode()} for element in output.values])
    return b'{"%s": %s}' % (b"predictions" if in_rows else b"outputs", values)


def _state(entry: dict[str, Any]) -> dict[str, Any]:
    fault = str(entry.get("reason", ""))
    status = {"error_code": "INTERNAL" if fault else "OK", "error_message": fault}
    return {"version": str(entry["version"]), "state": _STATES.get(entry["state"], "UNKNOWN"), "status": status}


def _signatures(manifest: Manifest) -> dict[str, Any]:
    pixels = {manifest.input.name: _port(manifest.input.name, "DT_UINT8", (-1, *manifest.input.shape[1:]))}
    pictures = {manifest.input.name: _port(manifest.input.name, "DT_STRING", (-1,))}
    person = {manifest.output.name: _port(manifest.output.name, "DT_FLOAT", (-1, *manifest.output.shape[1:]))}
    mask = {MASK: _port(MASK, "DT_STRING", (-1,))}
    return {
        "serving_default": {"inputs": pixels, "outputs": person, "method_name": "tensorflow/serving/predict"},
        MASK: {"inputs": pictures, "outputs": mask, "method_name": "tensorflow/serving/predict"},
    }


def _port(name: str, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    sides = [{"size": str(side), "name": ""} for side in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": sides, "unknown_rank": False}, "name": f"{name}:0"}
