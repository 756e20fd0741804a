"""`grpc.health.v1.Health`, for load balancers and probes; needs no key."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc

from danmatte.api.grpc.interceptors import Lobby
from danmatte.api.grpc.limits import Seats
from danmatte.api.grpc.messages import message
from danmatte.api.served_models import Models
from danmatte.errors import QueueFullError

SERVICES: Final = ("", "inference.GRPCInferenceService")
WATCHERS: Final = 32
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_LOOK_S: Final = 0.5


class Health:
    """Serving until the server is told to stop."""

    def __init__(self, models: Models, lobby: Lobby) -> None:
        self._models, self._lobby = models, lobby
        self._watchers = Seats(WATCHERS, "watchers")

    async def check(self, requests: Any, context: Any) -> Any:
        """The status of a service, or of the server when none is named."""
        request = await self._lobby.request(requests, context)
        if request.service not in SERVICES:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"expected one of {', '.join(SERVICES[1:])}")
        return self._answer(request)

    async def watch(self, requests: Any, context: Any) -> AsyncIterator[Any]:
        """The status, and every change of it; to so many watchers at once."""
        request, said = await self._lobby.request(requests, context), None
        try:
            with self._watchers.taken():
                while True:
                    answer = self._answer(request)
                    if answer != said:
                        yield answer
                        said = answer
                    await asyncio.sleep(_LOOK_S)
        except QueueFullError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))

    def _answer(self, request: Any) -> Any:
        status = _SERVING if self._models.ready else _NOT_SERVING
        known = request.service in SERVICES
        return message("grpc.health.v1.HealthCheckResponse")(status=status if known else _UNKNOWN)
