"""The Open Inference Protocol ("V2") over HTTP, with Triton's binary extension, configuration and statistics.

Its health routes are in `api.health`. The Content-Type header is ignored, because clients don't send it.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web

from danmatte.api import metadata
from danmatte.api.catalogue import Catalogue
from danmatte.api.delivery import deliver
from danmatte.api.openapi.operations import (
    DEADLINE_HEADER,
    describe_json,
    describe_operation,
    describe_readiness,
    list_model_paths,
)
from danmatte.api.protocol import HttpProtocol, Shared
from danmatte.api.v2.messages import (
    LENGTH_HEADER,
    V2Request,
    find_json_length,
    read_raw_request,
    read_request,
    write_answer,
)
from danmatte.http.body import read_body
from danmatte.http.query import read_timeout_s
from danmatte.http.request_keys import TIMING, identify_caller
from danmatte.inference.request import Request, VersionSelector
from danmatte.telemetry.timing import Timing

_LENGTH: Final[dict[str, Any]] = {
    "in": "header",
    "name": LENGTH_HEADER,
    "schema": {"type": "integer", "minimum": 0},
    "description": "length of the JSON before the binary tensors; 0 for a body that consists of the raw input only",
}
# Up to this size, parsing JSON is faster than waking a thread for it.
_SMALL_BYTES = 2**14


class V2Routes(HttpProtocol):
    """The routes under `/v2`, except those of health and of the model repository."""

    tag = ("v2", "Open Inference Protocol")
    prefixes = (("/v2", "v2"),)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._catalogue = Catalogue(shared.requests)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        found = {
            "/v2": {"get": describe_operation("v2", "The server and its extensions", describe_json("Server"))},
            "/v2/models/stats": {
                "get": describe_operation("v2", "Statistics of all models", describe_json("Statistics"))
            },
        }
        binary: dict[str, Any] = {"application/octet-stream": {"schema": {}}}
        body = {"required": True, "content": describe_json("InferRequest") | binary}
        for path, where in list_model_paths("/v2/models/{name}", models, "version"):
            for rest, summary, schema in (
                ("", "Inputs and outputs of the model", "Model"),
                ("/config", "Configuration of the model", "Config"),
                ("/stats", "Statistics of the model", "Statistics"),
            ):
                found[path + rest] = {"get": describe_operation("v2", summary, describe_json(schema), where)}
            found[f"{path}/ready"] = {"get": describe_readiness("v2", "Readiness of the model", where)}
            content = describe_json("InferAnswer") | binary
            infer = describe_operation("v2", "Inference on tensors", content, [*where, _LENGTH, DEADLINE_HEADER])
            found[f"{path}/infer"] = {"post": infer | {"requestBody": body}}
        return found

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        found = [web.get("/v2", self.describe_server), web.get("/v2/models/stats", self.describe_statistics)]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            found += [
                web.post(f"{model}/infer", self.infer),  # first, because routes are matched in this order
                web.get(model, self.describe_model),
                web.get(f"{model}/ready", self.check_ready),
                web.get(f"{model}/config", self.describe_config),
                web.get(f"{model}/stats", self.describe_statistics),
            ]
        return found

    async def describe_server(self, http: web.Request) -> web.Response:
        """Return the server's name, version and extensions."""
        return web.json_response(metadata.describe_server())

    async def describe_model(self, http: web.Request) -> web.Response:
        """Return a model's inputs and outputs."""
        manifest = (await self._requests.find(_select(http))).manifest
        versions = self._catalogue.list_servable(manifest.name)
        return web.json_response(metadata.describe_model(manifest, versions))

    async def check_ready(self, http: web.Request) -> web.Response:
        """Return whether a version is ready; this opens a version that isn't open yet."""
        selector = _select(http)
        await self._requests.find(selector)
        ready = self._requests.ready
        return web.json_response({"name": selector.model, "ready": ready}, status=200 if ready else 503)

    async def describe_config(self, http: web.Request) -> web.Response:
        """Return the model's configuration in Triton's format."""
        return web.json_response(metadata.describe_config((await self._requests.find(_select(http))).manifest))

    async def describe_statistics(self, http: web.Request) -> web.Response:
        """Return the statistics of a version, of all versions of a model, or of all models."""
        return web.json_response(await self._catalogue.describe_statistics(_select(http)))

    async def infer(self, http: web.Request) -> web.StreamResponse:
        """Run inference on tensors, and return the output tensors."""
        timing = http[TIMING] = Timing()
        selector, timeout_s = _select(http), read_timeout_s(http.headers)
        async with self._requests.open(identify_caller(http)) as request:

            async def answer() -> tuple[bytes, int | None]:
                # A separate function, so that body and tensors are freed before the response is sent.
                data = await read_body(http, self._settings.upload_s, "an inference request", request.hold)
                async with request.deadline(timeout_s):  # parsing and writing megabytes of JSON may be slow, too
                    parsed, version = await _read(data, http, request, selector)
                    served, outputs = await request.infer(parsed.wanted, version, timing, parsed.timeout_s or timeout_s)
                    with timing.phase("encode"):
                        in_json = not all(parsed.answer.is_binary(tensor.name) for tensor in outputs)
                        write = partial(write_answer, served.manifest, outputs, parsed.answer)
                        answered = await asyncio.to_thread(write) if in_json else write()
                request.release(len(data))
                return answered

            body, length = await answer()
            headers = {"Server-Timing": str(timing), "Content-Type": "application/json"}
            if length is not None:
                headers |= {LENGTH_HEADER: str(length), "Content-Type": "application/octet-stream"}
            return await deliver(http, request, body, headers)


async def _read(
    data: bytes, http: web.Request, request: Request, selector: VersionSelector
) -> tuple[V2Request, VersionSelector]:
    """Parse the body, and return it with its version; a body without JSON has to be parsed for one version."""
    length = find_json_length(http.headers.get(LENGTH_HEADER), data)
    if not length:
        manifest = (await request.find(selector)).manifest
        return read_raw_request(data, manifest), VersionSelector.of(manifest)
    with http[TIMING].phase("decode"):
        if length <= _SMALL_BYTES:
            return read_request(data, length), selector
        return await asyncio.to_thread(read_request, data, length), selector


def _select(http: web.Request) -> VersionSelector:
    return VersionSelector.parse(http.match_info.get("name", ""), http.match_info.get("version", ""))
