"""`inference.GRPCInferenceService`: the Open Inference Protocol with Triton's extensions, call by call."""

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
    """Every message is described in `inference.proto`."""

    name = "inference.GRPCInferenceService"
    public = frozenset({"ServerLive", "ServerReady"})
    placed = frozenset({"ModelInfer"})

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._requests, self._catalogue = parts.requests, Catalogue(parts.requests)

    @property
    def lasting_calls(self) -> int:
        """Streams may wait for their next request."""
        return self._parts.settings.live_connections

    async def server_live(self, request: Any, call: None) -> Any:
        """True, always."""
        return inference("ServerLiveResponse")(live=True)

    async def server_ready(self, request: Any, call: None) -> Any:
        """Whether it makes sense to send requests here."""
        return inference("ServerReadyResponse")(ready=self._requests.ready)

    async def model_ready(self, request: Any, call: CallContext) -> Any:
        """Whether the version can be asked; an unknown one can't, nor one that can't be served."""
        try:
            await self._requests.find(_select(request))
        except (UnknownModelError, UnknownVersionError, ModelError):
            return inference("ModelReadyResponse")(ready=False)
        return inference("ModelReadyResponse")(ready=self._requests.ready)

    async def server_metadata(self, request: Any, call: CallContext) -> Any:
        """Name, version, extensions."""
        described = metadata.describe_server(has_repository=self._parts.changed is not None)
        return inference("ServerMetadataResponse")(**described)

    async def model_metadata(self, request: Any, call: CallContext) -> Any:
        """Inputs and outputs of a model."""
        manifest = (await self._requests.find(_select(request))).manifest
        versions = self._catalogue.list_servable(manifest.name)
        return inference("ModelMetadataResponse")(**metadata.describe_model(manifest, versions))

    async def model_config(self, request: Any, call: CallContext) -> Any:
        """The model's configuration."""
        described = metadata.describe_config((await self._requests.find(_select(request))).manifest)
        parameters = described.pop("parameters")
        config = inference("ModelConfig")(**described)
        for name, value in parameters.items():
            config.parameters[name].string_value = value["string_value"]
        return inference("ModelConfigResponse")(config=config)

    async def model_statistics(self, request: Any, call: CallContext) -> Any:
        """Counts and times of a version, of a model's, or of all."""
        return inference("ModelStatisticsResponse")(**await self._catalogue.describe_statistics(_select(request)))

    async def repository_index(self, request: Any, call: CallContext) -> Any:
        """Every version of every model, or the ready ones."""
        return inference("RepositoryIndexResponse")(models=self._catalogue.list_index(ready=request.ready))

    async def repository_model_load(self, request: Any, call: CallContext) -> Any:
        """Serves a model again, or looks at its folder again; on the administrators' port."""
        await self._change(load_model(self._requests.repository, request.model_name, request.parameters))
        return inference("RepositoryModelLoadResponse")()

    async def repository_model_unload(self, request: Any, call: CallContext) -> Any:
        """Has a model answer nobody, also after a restart; on the administrators' port."""
        await self._change(unload_model(self._requests.repository, request.model_name))
        return inference("RepositoryModelUnloadResponse")()

    async def _change(self, change: Coroutine[Any, Any, None]) -> None:
        """Does it where models may be changed; it goes on when who asked for it leaves."""
        if not self._parts.changed:
            change.close()
            raise ForbiddenError("models are loaded and unloaded on the port `admin_grpc_port` alone")
        try:
            await asyncio.shield(asyncio.ensure_future(change))
        finally:
            self._parts.changed()

    async def model_infer(self, request: Any, call: CallContext, held: Request) -> Any:
        """Tensors in, tensors out."""
        wanted = await read_request(request)
        selector = VersionSelector.parse(request.model_name, request.model_version)
        timeout_s = read_timeout_s(request, call.remaining_s)
        served, outputs = await held.infer(wanted, selector, call.timing, timeout_s)
        return build_response(request, served, outputs)

    async def model_stream_infer(self, requests: AsyncIterable[Any], call: CallContext) -> AsyncIterator[Any]:
        """Many requests on one call, answered in their order; an error is an answer too, and ends nothing.

        There are only so many such calls at once, and one that asks for nothing for long is ended.
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
                    connection.release(answer.ByteSize())
        if reader.why:
            raise reader.why

    async def _answer_streamed(self, stream: CallContext, connection: Request, request: Any) -> Any:
        """An answer, whose bytes the stream's own request holds."""
        try:
            with self._parts.calls.observe(stream.branch("request")) as call:
                async with self._requests.open(call.caller) as held:
                    call.traffic = Traffic(request.ByteSize())
                    held.hold(call.traffic.received)
                    answer = await self.model_infer(request, call, held)
                call.traffic = call.traffic._replace(sent=answer.ByteSize())
                connection.hold(call.traffic.sent)
        except ServiceError as error:
            # The id is how its sender knows which one failed.
            failed = {"id": request.id, "model_name": request.model_name}
            return inference("ModelStreamInferResponse")(error_message=str(error), infer_response=failed)
        return inference("ModelStreamInferResponse")(infer_response=answer)


def _select(request: Any) -> VersionSelector:
    return VersionSelector.parse(request.name, request.version)
