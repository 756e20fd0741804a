"""`/metrics`: what Prometheus scrapes, of all workers."""

import asyncio
import logging
from collections.abc import AsyncIterator

from aiohttp import web

from danmatte.models import Repository
from danmatte.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
PATH = "/metrics"
_EVERY_S = 1.0


class MetricsRoutes:
    """Brings the gauges up to date every second, as any worker may be asked for all of them."""

    def __init__(self, metrics: Metrics, repository: Repository) -> None:
        self._metrics, self._repository = metrics, repository

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.get(PATH, self.get_metrics)]

    async def get_metrics(self, request: web.Request) -> web.Response:
        """The text format, made off the loop."""

        def render() -> bytes:
            self._update()
            return self._metrics.render()

        body = await asyncio.to_thread(render)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def sample(self, app: web.Application) -> AsyncIterator[None]:
        """For `Application.cleanup_ctx`."""
        task = asyncio.create_task(self._sample_forever())
        yield
        task.cancel()

    async def _sample_forever(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._update)
            except Exception:
                log.exception("the gauges are not up to date")
            await asyncio.sleep(_EVERY_S)

    def _update(self) -> None:
        versions = (version for model in self._repository.list_models() for version in model.versions)
        self._metrics.set_versions([version.state for version in versions])
        self._metrics.sample()
