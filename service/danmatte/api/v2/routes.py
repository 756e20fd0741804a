"""The Open Inference Protocol ("V2") over HTTP, with Triton's binary extension, configuration and statistics.

Its health routes are in `health`. The Content-Type is never looked at: clients send none.
"""

import asyncio

from aiohttp import web

from danmatte.api import metadata
from danmatte.api.served_models import Caller, Models, Named, exactly
from danmatte.api.v2.answer import written
from danmatte.api.v2.request import LENGTH_HEADER, Request, Wish, json_length, read, read_raw
from danmatte.contract.manifest import Manifest
from danmatte.http.body import body
from danmatte.http.caller import caller
from danmatte.http.query import timeout_s
from danmatte.http.request_keys import TIMING
from danmatte.inference.tensors import Tensor
from danmatte.telemetry.metrics import Timing

# JSON up to here is read and written in less time than a thread is woken.
_SMALL_BYTES = 2**14


class V2:
    """The routes under `/v2` but for health and the repository's."""

    def __init__(self, models: Models, *, upload_s: float) -> None:
        self._models, self._upload_s = models, upload_s

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        found = [web.get("/v2", self.server), web.get("/v2/models/stats", self.statistics)]
        for model in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
            found += [
                web.post(f"{model}/infer", self.infer),  # first, as they are tried in this order
                web.get(model, self.model),
                web.get(f"{model}/ready", self.ready),
                web.get(f"{model}/config", self.config),
                web.get(f"{model}/stats", self.statistics),
            ]
        return found

    async def server(self, request: web.Request) -> web.Response:
        """Name, version, extensions."""
        return web.json_response(metadata.server())

    async def model(self, request: web.Request) -> web.Response:
        """Inputs and outputs of a model."""
        served = await self._models.find(_named(request))
        return web.json_response(metadata.model(served.manifest, self._models.servable(served.manifest.name)))

    async def ready(self, request: web.Request) -> web.Response:
        """Whether the version can be asked; asking opens one that wasn't open."""
        named = _named(request)
        await self._models.find(named)
        ready = self._models.ready
        return web.json_response({"name": named.name, "ready": ready}, status=200 if ready else 503)

    async def config(self, request: web.Request) -> web.Response:
        """The model's configuration, as Triton has it."""
        return web.json_response(metadata.config((await self._models.find(_named(request))).manifest))

    async def statistics(self, request: web.Request) -> web.Response:
        """Counts and times of a version, of a model's, or of all."""
        return web.json_response(await self._models.statistics(_named(request)))

    async def infer(self, request: web.Request) -> web.Response:
        """Tensors in, tensors out."""
        timing = request[TIMING] = Timing()
        named, who, patience_s = _named(request), caller(request), timeout_s(request.headers)
        async with self._models.place(who):
            data = await body(request, self._upload_s, "an inference request")
            async with self._models.deadline(patience_s):
                asked, named = await self._read(data, request, named)
                served, outputs = await self._models.infer(
                    named, asked.question, Caller(who, asked.timeout_s or patience_s), timing
                )
                with timing.phase("encode"):
                    answer = await _written(served.manifest, outputs, asked.wish)
        answer.headers["Server-Timing"] = str(timing)
        return answer

    async def _read(self, data: bytes, request: web.Request, named: Named) -> tuple[Request, Named]:
        """What is asked, and of whom: a body without JSON only makes sense to one version."""
        length = json_length(request.headers.get(LENGTH_HEADER), data)
        if not length:
            manifest = (await self._models.find(named)).manifest
            return read_raw(data, manifest), exactly(manifest)
        with request[TIMING].phase("decode"):
            if length <= _SMALL_BYTES:
                return read(data, length), named
            return await asyncio.to_thread(read, data, length), named


async def _written(manifest: Manifest, outputs: list[Tensor], wish: Wish) -> web.Response:
    if all(wish.in_binary(tensor.name) for tensor in outputs):
        data, length = written(manifest, outputs, wish)
    else:
        data, length = await asyncio.to_thread(written, manifest, outputs, wish)
    if length is None:
        return web.Response(body=data, content_type="application/json")
    return web.Response(body=data, content_type="application/octet-stream", headers={LENGTH_HEADER: str(length)})


def _named(request: web.Request) -> Named:
    return Named(request.match_info.get("name", ""), request.match_info.get("version", ""))
