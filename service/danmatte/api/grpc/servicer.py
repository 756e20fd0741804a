"""`inference.GRPCInferenceService`, call by call."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from danmatte.api import metadata
from danmatte.api.grpc.calls import Call, Desk
from danmatte.api.grpc.interceptors import Lobby
from danmatte.api.grpc.limits import Seats, ahead, awaited
from danmatte.api.grpc.messages import inference
from danmatte.api.grpc.tensors import question, response, timeout_s
from danmatte.api.served_models import Caller, Models, Named
from danmatte.errors import ServiceError, UnknownModelError, UnknownVersionError


class Calls:
    """The service's methods; their names in snake case."""

    def __init__(self, models: Models, desk: Desk, lobby: Lobby, *, streams: int, idle_s: float) -> None:
        """`streams` calls of many requests at once, each ended after `idle_s` without one."""
        self._models, self._desk, self._lobby = models, desk, lobby
        self._streams, self._idle_s = Seats(streams, "streams"), idle_s

    async def server_live(self, requests: Any, context: Any) -> Any:
        """True, always; needs no key."""
        await self._lobby.request(requests, context)
        return inference("ServerLiveResponse")(live=True)

    async def server_ready(self, requests: Any, context: Any) -> Any:
        """Whether anybody is let in; needs no key."""
        await self._lobby.request(requests, context)
        return inference("ServerReadyResponse")(ready=self._models.ready)

    async def model_ready(self, request: Any, context: Any) -> Any:
        """Whether the version can be asked; an unknown one can't."""
        async with self._desk.answering(context, "ModelReady"):
            with suppress(UnknownModelError, UnknownVersionError):
                await self._models.find(_named(request))
                return inference("ModelReadyResponse")(ready=self._models.ready)
        return inference("ModelReadyResponse")(ready=False)

    async def server_metadata(self, request: Any, context: Any) -> Any:
        """Name, version, extensions."""
        async with self._desk.answering(context, "ServerMetadata"):
            return inference("ServerMetadataResponse")(**metadata.server())

    async def model_metadata(self, request: Any, context: Any) -> Any:
        """Inputs and outputs of a model."""
        async with self._desk.answering(context, "ModelMetadata"):
            manifest = (await self._models.find(_named(request))).manifest
            return inference("ModelMetadataResponse")(**metadata.model(manifest, self._models.servable(manifest.name)))

    async def model_config(self, request: Any, context: Any) -> Any:
        """The model's configuration."""
        async with self._desk.answering(context, "ModelConfig"):
            described = metadata.config((await self._models.find(_named(request))).manifest)
            parameters = described.pop("parameters")
            config = inference("ModelConfig")(**described)
            for name, value in parameters.items():
                config.parameters[name].string_value = value["string_value"]
            return inference("ModelConfigResponse")(config=config)

    async def model_statistics(self, request: Any, context: Any) -> Any:
        """Counts and times of a version, of a model's, or of all."""
        async with self._desk.answering(context, "ModelStatistics"):
            return inference("ModelStatisticsResponse")(**await self._models.statistics(_named(request)))

    async def repository_index(self, request: Any, context: Any) -> Any:
        """Every version of every model."""
        async with self._desk.answering(context, "RepositoryIndex"):
            found = [entry for entry in self._models.index() if entry["state"] == "READY" or not request.ready]
            return inference("RepositoryIndexResponse")(models=found)

    async def model_infer(self, request: Any, context: Any) -> Any:
        """Tensors in, tensors out."""
        async with self._desk.answering(context, "ModelInfer") as call:
            return await self._infer(request, call, context.time_remaining())

    async def model_stream_infer(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """Many requests on one call, answered in their order; an error is an answer too, and ends nothing.

        There are only so many such calls at once, and one that asks for nothing for long is ended.
        """
        async with self._desk.answering(context, "ModelStreamInfer") as call:
            with self._streams.taken():
                asking = awaited(requests, self._idle_s)
                async with ahead(asking, lambda request: self._streamed(request, call.caller, context)) as answers:
                    async for answer in answers:
                        yield answer

    async def _streamed(self, request: Any, who: str, context: Any) -> Any:
        try:
            with self._desk.observed(context, "ModelStreamInfer/request", who) as call:
                answer = await self._infer(request, call, context.time_remaining())
        except ServiceError as error:
            # The id is how its sender knows which one failed.
            failed = {"id": request.id, "model_name": request.model_name}
            return inference("ModelStreamInferResponse")(error_message=str(error), infer_response=failed)
        return inference("ModelStreamInferResponse")(infer_response=answer)

    async def _infer(self, request: Any, call: Call, remaining_s: float | None) -> Any:
        async with self._models.place(call.caller):
            asked = await question(request)
            caller = Caller(call.caller, timeout_s(request, remaining_s))
            named = Named(request.model_name, request.model_version)
            served, outputs = await self._models.infer(named, asked, caller, call.timing)
            return response(request, served, outputs)


def _named(request: Any) -> Named:
    return Named(request.name, request.version)
