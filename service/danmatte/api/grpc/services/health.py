"""`grpc.health.v1.Health`, for load balancers and probes.

The library's own servicer (grpcio-health-checking) keeps what it was told, lets any number watch, and takes a
stranger's whole message; ours asks admission, and limits both.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from danmatte.api.grpc.limits import CapacityLimiter
from danmatte.api.grpc.messages import message
from danmatte.api.grpc.service import Service, ServiceParts
from danmatte.errors import UnknownModelError

WATCHERS: Final = 32
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_LOOK_S: Final = 0.5


class HealthService(Service):
    """Serving until the server is told to stop, or answers nothing in time."""

    name = "grpc.health.v1.Health"
    public = frozenset({"Check", "Watch"})

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._watchers = CapacityLimiter(WATCHERS, "watchers")
        self._known = ("", *(name for name in Service.registered if name != self.name))

    @property
    def lasting_calls(self) -> int:
        """One for each watcher."""
        return WATCHERS

    async def check(self, request: Any, call: None) -> Any:
        """The status of a service, or of the server when none is named."""
        if request.service not in self._known:
            raise UnknownModelError(f"expected one of {', '.join(self._known[1:])}")
        return self._answer(request)

    async def watch(self, request: Any, call: None) -> AsyncIterator[Any]:
        """The status, and every change of it; to so many watchers at once."""
        last = None
        with self._watchers.take():
            while True:
                answer = self._answer(request)
                if answer != last:
                    yield answer
                    last = answer
                await asyncio.sleep(_LOOK_S)

    def _answer(self, request: Any) -> Any:
        status = _SERVING if self._parts.requests.ready else _NOT_SERVING
        known = request.service in self._known
        return message("grpc.health.v1.HealthCheckResponse")(status=status if known else _UNKNOWN)
