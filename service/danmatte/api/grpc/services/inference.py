"""`inference.GRPCInferenceService`: the Open Inference Protocol with Triton's extensions."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine
from functools import partial
from typing import Any

from danmatte.api import metadata
from danmatte.api.catalogue import Catalogue
from danmatte.api.grpc.call_context import CallContext
from danmatte.api.grpc.limits import EndableReader, answer_ahead
from danmatte.api.grpc.messages import inference
from danmatte.api.grpc.service import Service, ServiceParts
from danmatte.api.grpc.tensors import build_response, read_request, read_timeout_s
from danmatte.api.loading import load_model, unload_model
from danmatte.errors import ForbiddenError, ModelError, ServiceError, UnknownModelError, UnknownVersionError
from danmatte.inference.request import Request, VersionSelector
from danmatte.telemetry.metrics import Traffic


class InferenceService(Service):
    """The inference service; `inference.proto` describes its messages."""

    name = "inference.GRPCInferenceService"
    public = frozenset({"ServerLive", "ServerReady"})
    placed = frozenset({"ModelInfer"})

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._requests, self._catalogue = parts.requests, Catalogue(parts.requests)

    @property
    def lasting_calls(self) -> int:
        """See the base class; these are streams that wait for their next request."""
        return self._parts.settings.live_connections

    async def server_live(self, request: Any, call: None) -> Any:
        """Return True: a process that responds is live."""
        return inference("ServerLiveResponse")(live=True)

    async def server_ready(self, request: Any, call: None) -> Any:
        """Return whether requests are accepted."""
        return inference("ServerReadyResponse")(ready=self._requests.ready)

    async def model_ready(self, request: Any, call: CallContext) -> Any:
        """Return whether a version is ready; False for an unknown one, and for one that can't be served."""
        try:
            await self._requests.find(_select(request))
        except (UnknownModelError, UnknownVersionError, ModelError):
            return inference("ModelReadyResponse")(ready=False)
        return inference("ModelReadyResponse")(ready=self._requests.ready)

    async def server_metadata(self, request: Any, call: CallContext) -> Any:
        """Return the server's name, version and extensions."""
        described = metadata.describe_server(has_repository=self._parts.changed is not None)
        return inference("ServerMetadataResponse")(**described)

    async def model_metadata(self, request: Any, call: CallContext) -> Any:
        """Return a model's inputs and outputs."""
        manifest = (await self._requests.find(_select(request))).manifest
        versions = self._catalogue.list_servable(manifest.name)
        return inference("ModelMetadataResponse")(**metadata.describe_model(manifest, versions))

    async def model_config(self, request: Any, call: CallContext) -> Any:
        """Return a model's configuration."""
        described = metadata.describe_config((await self._requests.find(_select(request))).manifest)
        parameters = described.pop("parameters")
        config = inference("ModelConfig")(**described)
        for name, value in parameters.items():
            config.parameters[name].string_value = value["string_value"]
        return inference("ModelConfigResponse")(config=config)

    async def model_statistics(self, request: Any, call: CallContext) -> Any:
        """Return the statistics of a version, of all versions of a model, or of all models."""
        return inference("ModelStatisticsResponse")(**await self._catalogue.describe_statistics(_select(request)))

    async def repository_index(self, request: Any, call: CallContext) -> Any:
        """Return every version of every model, or only the ready ones."""
        return inference("RepositoryIndexResponse")(models=self._catalogue.list_index(ready=request.ready))

    async def repository_model_load(self, request: Any, call: CallContext) -> Any:
        """Load a model, or reload its folder; only on the admin port."""
        await self._change(load_model(self._requests.repository, request.model_name, request.parameters))
        return inference("RepositoryModelLoadResponse")()

    async def repository_model_unload(self, request: Any, call: CallContext) -> Any:
        """Unload a model, which stays unloaded after a restart; only on the admin port."""
        await self._change(unload_model(self._requests.repository, request.model_name))
        return inference("RepositoryModelUnloadResponse")()

    async def _change(self, change: Coroutine[Any, Any, None]) -> None:
        """Apply a change if this is the admin port; it is completed even if the client disconnects."""
        if not self._parts.changed:
            change.close()
            raise ForbiddenError("models can be loaded and unloaded only on the port `admin_grpc_port`")
        try:
            await asyncio.shield(asyncio.ensure_future(change))
        finally:
            self._parts.changed()

    async def model_infer(self, request: Any, call: CallContext, held: Request) -> Any:
        """Run inference on tensors, and return the output tensors."""
        wanted = await read_request(request)
        selector = VersionSelector.parse(request.model_name, request.model_version)
        timeout_s = read_timeout_s(request, call.remaining_s)
        served, outputs = await held.infer(wanted, selector, call.timing, timeout_s)
        return build_response(request, served, outputs)

    async def model_stream_infer(self, requests: AsyncIterable[Any], call: CallContext) -> AsyncIterator[Any]:
        """Process many requests on one call, and yield their responses in order.

        An error of a request is returned as its response, and doesn't end the call. The number of such calls is
        limited, and idle ones are ended after `live_idle_s` seconds.
        """
        reader = EndableReader(requests, self._parts.settings.live_idle_s)
        with self._requests.live.open(call.caller, reader.end, call.identity.is_valid) as live:
            reader.note_use = live.note_use
            async with (
                self._requests.open(call.caller, long_lived=True) as connection,
                answer_ahead(reader.read(), partial(self._answer_streamed, call, connection)) as answers,
            ):
                async for answer in answers:
                    yield answer
                    if not answer.error_message:
                        connection.release(answer.ByteSize())
        if reader.why:
            raise reader.why

    async def _answer_streamed(self, stream: CallContext, connection: Request, request: Any) -> Any:
        """Return the response to one request.

        The bytes of a successful response count as held by the stream until it is sent; errors are too small to count.
        """
        try:
            with self._parts.calls.observe(stream.branch("request")) as call:
                async with self._requests.open(call.caller) as held:
                    call.traffic = Traffic(request.ByteSize())
                    held.hold(call.traffic.received)
                    answer = await self.model_infer(request, call, held)
                streamed = inference("ModelStreamInferResponse")(infer_response=answer)
                call.traffic = call.traffic._replace(sent=answer.ByteSize())
                connection.hold(streamed.ByteSize())
                return streamed
        except ServiceError as error:
            # The id tells the client which request failed.
            failed = {"id": request.id, "model_name": request.model_name}
            return inference("ModelStreamInferResponse")(error_message=str(error), infer_response=failed)


def _select(request: Any) -> VersionSelector:
    return VersionSelector.parse(request.name, request.version)
