"""`/v2/health`: the health routes of the Open Inference Protocol."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from danmatte.api.openapi.operations import describe_json, describe_operation, describe_readiness
from danmatte.api.protocol import HttpProtocol


class HealthRoutes(HttpProtocol):
    """Alive as long as its threads work; ready until it is told to stop, or answers nothing in time."""

    tag = ("health", "for whoever watches over the server")
    prefixes = (("/v2/health", "health"),)
    public = frozenset({"/v2/health/live", "/v2/health/ready"})

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """As the base class says."""
        live = describe_operation("health", "Whether the process answers", describe_json("Live"))
        return {
            "/v2/health/live": {"get": live},
            "/v2/health/ready": {"get": describe_readiness("health", "Whether posts are let in")},
        }

    def routes(self) -> list[web.RouteDef]:
        """As the base class says."""
        return [web.get("/v2/health/live", self.check_live), web.get("/v2/health/ready", self.check_ready)]

    async def check_live(self, http: web.Request) -> web.Response:
        """200, or 503 when a thread is stuck for ever, which only a new process mends."""
        live = not self._requests.matting.stuck
        return web.json_response({"live": live}, status=200 if live else 503)

    async def check_ready(self, http: web.Request) -> web.Response:
        """200 when posts are let in, else 503."""
        ready = self._requests.ready
        return web.json_response({"ready": ready}, status=200 if ready else 503)
