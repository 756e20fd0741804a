"""What lies around the routes: counters, the access log, traces, the shape of errors, keys, headers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.api.openapi import PAGES as DOCS
from danmatte.api.pages import PAGES
from danmatte.api.scrape import METRICS, Scrape
from danmatte.contract.artifact import Artifact
from danmatte.engine import Engine
from danmatte.http.api_keys import Keys
from danmatte.http.auth import HEALTH, guard, harden
from danmatte.http.errors import envelope, identify
from danmatte.http.telemetry import Observers, observation
from danmatte.models import EngineFactory
from danmatte.settings import Settings
from danmatte.telemetry.access_log import AccessLog
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.tracing import Traces


def observing(settings: Settings, metrics: Metrics) -> Observers:
    """Who is told of every request; raises SettingsError."""
    lines = AccessLog(sys.stdout.fileno(), dropped=metrics.unlogged) if settings.access_log == "json" else None
    return Observers(metrics, lines, Traces(settings.otlp_endpoint) if settings.otlp_endpoint else None)


def surround(app: web.Application, observers: Observers, scrape: Scrape, within: list[Middleware]) -> None:
    """Puts the middlewares around the application, and `/metrics` into it."""
    app.middlewares.extend([observation(observers), envelope, *within])
    app.on_response_prepare.extend([identify, harden])
    app.add_routes(scrape.routes())

    async def written(app: web.Application) -> AsyncIterator[None]:
        yield
        for sink in (observers.lines, observers.traces):
            if sink:
                await asyncio.to_thread(sink.close)

    app.cleanup_ctx.extend([written, scrape.sampling])


def doors(settings: Settings, keys: Keys | None) -> list[Middleware]:
    """The guard, where keys are used."""
    if not keys:
        return []
    opened = HEALTH | PAGES | DOCS | ({METRICS} if settings.open_metrics else set())
    return [guard(keys, opened)]


def telling(changed: Callable[[], None]) -> Middleware:
    """Calls `changed` after each request that may have changed something."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if request.method not in ("GET", "HEAD"):
            changed()
        return response

    return told


def counted(open_engine: EngineFactory, metrics: Metrics) -> EngineFactory:
    """The factory, with its successes and failures counted."""

    def opened(found: Artifact) -> Engine:
        try:
            engine = open_engine(found)
        except Exception:
            metrics.loaded("failed")
            raise
        metrics.loaded("ready")
        return engine

    return opened
