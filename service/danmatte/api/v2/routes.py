"""The Open Inference Protocol ("V2") over HTTP, with Triton's binary extension, configuration and statistics.

Its health routes are in `api.health`. The Content-Type is never looked at: clients send none.
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
    PATIENCE,
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
    "description": "how much of the body is JSON, before the tensors; 0 for a body that is the input itself",
}
# JSON up to here is read and written in less time than a thread is woken.
_SMALL_BYTES = 2**14


class V2Routes(HttpProtocol):
    """The routes under `/v2` but for health and the repository's."""

    tag = ("v2", "Open Inference Protocol")
    prefixes = (("/v2", "v2"),)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._catalogue = Catalogue(shared.requests)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """As the base class says."""
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
                ("", "A model's inputs and outputs", "Model"),
                ("/config", "Its configuration", "Config"),
                ("/stats", "Its statistics", "Statistics"),
            ):
                found[path + rest] = {"get": describe_operation("v2", summary, describe_json(schema), where)}
            found[f"{path}/ready"] = {"get": describe_readiness("v2", "Whether it can be asked", where)}
            content = describe_json("InferAnswer") | binary
            infer = describe_operation("v2", "Tensors in, tensors out", content, [*where, _LENGTH, PATIENCE])
            found[f"{path}/infer"] = {"post": infer | {"requestBody": body}}
        return found

    def routes(self) -> list[web.RouteDef]:
        """As the base class says."""
        found = [web.get("/v2", self.describe_server), web.get("/v2/models/stats", self.describe_statistics)]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            found += [
                web.post(f"{model}/infer", self.infer),  # first, as they are tried in this order
                web.get(model, self.describe_model),
                web.get(f"{model}/ready", self.check_ready),
                web.get(f"{model}/config", self.describe_config),
                web.get(f"{model}/stats", self.describe_statistics),
            ]
        return found

    async def describe_server(self, http: web.Request) -> web.Response:
        """Name, version, extensions."""
        return web.json_response(metadata.describe_server())

    async def describe_model(self, http: web.Request) -> web.Response:
        """Inputs and outputs of a model."""
        manifest = (await self._requests.find(_select(http))).manifest
        versions = self._catalogue.list_servable(manifest.name)
        return web.json_response(metadata.describe_model(manifest, versions))

    async def check_ready(self, http: web.Request) -> web.Response:
        """Whether the version can be asked; asking opens one that wasn't open."""
        selector = _select(http)
        await self._requests.find(selector)
        ready = self._requests.ready
        return web.json_response({"name": selector.model, "ready": ready}, status=200 if ready else 503)

    async def describe_config(self, http: web.Request) -> web.Response:
        """The model's configuration, as Triton has it."""
        return web.json_response(metadata.describe_config((await self._requests.find(_select(http))).manifest))

    async def describe_statistics(self, http: web.Request) -> web.Response:
        """Counts and times of a version, of a model's, or of all."""
        return web.json_response(await self._catalogue.describe_statistics(_select(http)))

    async def infer(self, http: web.Request) -> web.StreamResponse:
        """Tensors in, tensors out."""
        timing = http[TIMING] = Timing()
        selector, patience_s = _select(http), read_timeout_s(http.headers)
        async with self._requests.open(identify_caller(http)) as request:

            async def answer() -> tuple[bytes, int | None]:
                # A function of its own, so that body and tensors are gone before the answer is on its way.
                data = await read_body(http, self._settings.upload_s, "an inference request", request.hold)
                async with request.deadline(patience_s):  # reading and writing megabytes of JSON takes long, too
                    asked, version = await _read(data, http, request, selector)
                    served, outputs = await request.infer(asked.wanted, version, timing, asked.timeout_s or patience_s)
                    with timing.phase("encode"):
                        in_json = not all(asked.answer.is_binary(tensor.name) for tensor in outputs)
                        write = partial(write_answer, served.manifest, outputs, asked.answer)
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
    """What is asked, and of whom: a body without JSON only makes sense to one version."""
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
