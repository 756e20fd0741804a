"""`/v2/health`: the health routes of the Open Inference Protocol."""

from collections.abc import Callable

from aiohttp import web


class HealthRoutes:
    """Alive as long as it answers; ready until it is told to stop, or answers nothing in time."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.get("/v2/health/live", self.check_live), web.get("/v2/health/ready", self.check_ready)]

    async def check_live(self, request: web.Request) -> web.Response:
        """200, always."""
        return web.json_response({"live": True})

    async def check_ready(self, request: web.Request) -> web.Response:
        """200 when posts are let in, else 503."""
        ready = self._is_ready()
        return web.json_response({"ready": ready}, status=200 if ready else 503)
