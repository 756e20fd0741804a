"""`/metrics`: the metrics of all workers, for Prometheus."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from aiohttp import web

from danmatte.api.openapi.operations import describe_operation
from danmatte.api.openapi.schemas import TEXT
from danmatte.api.protocol import HttpProtocol
from danmatte.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)
PATH = "/metrics"
_EVERY_S = 1.0


class MetricsRoutes(HttpProtocol):
    """The route of the metrics.

    Each worker updates its gauges every second, because any worker may be scraped, and reports those of all workers.
    """

    tag = ("health", "health checks and metrics")
    prefixes = ((PATH, "metrics"),)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        page = {"text/plain": {"schema": TEXT}}
        return {PATH: {"get": describe_operation("health", "Metrics for Prometheus", page)}}

    def attach(self, app: web.Application) -> None:
        """Add the routes and the background task that updates the gauges."""
        super().attach(app)
        app.cleanup_ctx.append(self._run)

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        return [web.get(PATH, self.get_metrics)]

    async def get_metrics(self, http: web.Request) -> web.Response:
        """Return the metrics in Prometheus' text format, rendered in a thread."""

        def render() -> bytes:
            self._update()
            return self._metrics.render()

        body = await asyncio.to_thread(render)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        async def sample() -> None:
            while True:
                try:
                    await asyncio.to_thread(self._update)
                except Exception:
                    log.exception("the gauges can't be updated")
                await asyncio.sleep(_EVERY_S)

        tasks = BackgroundTasks()
        tasks.start(sample())
        yield
        await tasks.end()

    def _update(self) -> None:
        versions = (version for model in self._requests.repository.list_models() for version in model.versions)
        self._metrics.set_versions([version.state for version in versions])
        self._metrics.sample()
