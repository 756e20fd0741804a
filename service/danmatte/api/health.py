"""`/v2/health`: the health routes of the Open Inference Protocol."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from danmatte.api.openapi.operations import describe_json, describe_operation, describe_readiness
from danmatte.api.protocol import HttpProtocol


class HealthRoutes(HttpProtocol):
    """The health routes. The server is live unless a thread is stuck, and ready unless it is stopping or stuck."""

    tag = ("health", "health checks and metrics")
    prefixes = (("/v2/health", "health"),)
    public = frozenset({"/v2/health/live", "/v2/health/ready"})

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        live = describe_operation("health", "Liveness of the server", describe_json("Live"))
        return {
            "/v2/health/live": {"get": live},
            "/v2/health/ready": {"get": describe_readiness("health", "Readiness to accept requests")},
        }

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        return [web.get("/v2/health/live", self.check_live), web.get("/v2/health/ready", self.check_ready)]

    async def check_live(self, http: web.Request) -> web.Response:
        """Return 200, or 503 if a thread is stuck, in which case the process has to be restarted."""
        live = not self._requests.matting.stuck
        return web.json_response({"live": live}, status=200 if live else 503)

    async def check_ready(self, http: web.Request) -> web.Response:
        """Return 200 if requests are accepted, otherwise 503."""
        ready = self._requests.ready
        return web.json_response({"ready": ready}, status=200 if ready else 503)
