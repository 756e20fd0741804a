"""`grpc.health.v1.Health`, for load balancers and probes.

The servicer of grpcio-health-checking returns a stored status, and limits neither the number of watchers nor the
memory that unauthenticated messages take. This one returns the current readiness, and limits both.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from danmatte.api.grpc.limits import CapacityLimiter
from danmatte.api.grpc.messages import message
from danmatte.api.grpc.service import Service, ServiceParts
from danmatte.errors import UnknownModelError, brief

WATCHERS: Final = 32
_SERVING, _NOT_SERVING, _UNKNOWN = 1, 2, 3
_LOOK_S: Final = 0.5


class HealthService(Service):
    """The health service; the status is SERVING unless the server is stopping or stuck."""

    name = "grpc.health.v1.Health"
    public = frozenset({"Check", "Watch"})

    def __init__(self, parts: ServiceParts) -> None:
        super().__init__(parts)
        self._watchers = CapacityLimiter(WATCHERS, "watchers")
        self._known = ("", *(name for name in Service.registered if name != self.name))

    @property
    def lasting_calls(self) -> int:
        """See the base class."""
        return WATCHERS

    async def check(self, request: Any, call: None) -> Any:
        """Return the status of a service, or of the server if none is named."""
        if request.service not in self._known:
            expected = f"expected one of {', '.join(self._known[1:])}"
            raise UnknownModelError(f"service: {expected}, received {brief(request.service)}")
        return self._answer(request)

    async def watch(self, request: Any, call: None) -> AsyncIterator[Any]:
        """Yield the status and every change of it; the number of watchers is limited."""
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
