"""The parts put together: settings in, the application out."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from danmatte.api import grpc, pages
from danmatte.api import metrics as exposition
from danmatte.api.admin import AdminRoutes
from danmatte.api.catalogue import Catalogue
from danmatte.api.openapi import page
from danmatte.api.openapi.page import OpenApiRoutes
from danmatte.api.pages import PageRoutes
from danmatte.api.protocol import Shared
from danmatte.api.protocols import PROTOCOLS
from danmatte.contract.artifact import Artifact
from danmatte.contract.cores import count_cores
from danmatte.engine import Engine, GraphCache, OpenVinoEngine
from danmatte.http.auth import ApiKeys, add_security_headers, require_key
from danmatte.http.errors import add_request_id, catch_errors
from danmatte.http.runner import ConnectionLifetime
from danmatte.http.telemetry import Observers, observe_requests
from danmatte.inference.admission import Admission
from danmatte.inference.limits import choose_limits
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import Matting
from danmatte.inference.request import Requests
from danmatte.models import AnswerCheck, EngineFactory, Repository
from danmatte.settings import Settings
from danmatte.telemetry.log import AccessLog, count_dropped_lines
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.tracing import Traces

if TYPE_CHECKING:
    from aiohttp.typedefs import Middleware

LIVE = web.AppKey("live", LiveCalls)
ADMISSION = web.AppKey("admission", Admission)
REPOSITORY = web.AppKey("repository", Repository)
RENEW: web.AppKey[Callable[[], None]] = web.AppKey("renew")


def build(
    settings: Settings, open_engine: EngineFactory | None = None, changed: Callable[[], None] = lambda: None
) -> web.Application:
    """The application; models are loaded when it starts, which raises SettingsError when none can be.

    `changed` is called after whatever the administrator does.
    """
    cores = settings.cores or count_cores()
    metrics = Metrics()
    keys = ApiKeys.read(Path(settings.keys)) if settings.keys else None
    observers = _build_observers(settings, metrics)
    repository = Repository(
        settings.models_folder,
        _build_factory(open_engine, settings, cores, metrics),
        default=settings.model,
        spares=settings.spare_versions,
        check=AnswerCheck(settings.check_answers, settings.max_disagreement),
    )
    admission = _build_admission(settings, cores)
    matting = Matting(workers=settings.pixel_threads or cores, max_pixels=settings.max_pixels)
    live = LiveCalls(settings.live_connections)
    requests = Requests(repository, admission, matting, live)
    _watch(metrics, admission, live)

    app = web.Application(client_max_size=settings.max_body_bytes)
    app[ADMISSION], app[REPOSITORY], app[LIVE] = admission, repository, live

    async def leave(app: web.Application) -> None:
        live.end_all()  # they would outlast any wait for requests

    app.on_shutdown.append(leave)

    def renew() -> None:
        """For SIGHUP: models and keys, as the disk has them now."""
        repository.refresh_soon()
        if keys:
            reading = asyncio.get_running_loop().run_in_executor(None, keys.read_again)
            reading.add_done_callback(lambda _: live.end_revoked())

    app[RENEW] = renew
    shared = Shared(requests, settings, metrics)
    for protocol in PROTOCOLS:
        protocol(shared).attach(app)
    app.add_routes([*PageRoutes().routes(), *OpenApiRoutes(repository, show_models=not settings.keys).routes()])

    authentication = _build_authentication(keys, settings)
    prefixes = dict(pair for protocol in PROTOCOLS for pair in protocol.prefixes)
    app.middlewares.extend([observe_requests(observers, prefixes), catch_errors, *authentication])
    lifetime = ConnectionLifetime(lambda: admission.draining, longest_s=settings.connection_s * (settings.workers > 1))
    app.on_response_prepare.extend([add_request_id, add_security_headers, lifetime.prepare])

    app.cleanup_ctx.append(_run_engines(repository, matting, observers, settings))
    if settings.grpc_port:
        app.cleanup_ctx.append(grpc.serve_beside(requests, settings, observers=observers, keys=keys))
    if settings.admin_port:
        admin = AdminRoutes(repository, Catalogue(requests), changed)
        app.cleanup_ctx.append(admin.serve_beside(settings, authentication))
    return app


def _watch(metrics: Metrics, admission: Admission, live: LiveCalls) -> None:
    """Has the gauges of what is inside."""
    metrics.watch("danmatte_in_flight", "Inside: posts and live connections", lambda: admission.inside)
    metrics.watch("danmatte_live_connections", "Open live connections and streams", lambda: len(live))
    metrics.watch("danmatte_waiting", "Posts that wait for a permit to compute", lambda: admission.waiting)
    metrics.watch("danmatte_bytes_under_way", "Bytes of bodies and answers in memory", lambda: admission.held_bytes)
    metrics.watch("danmatte_log_dropped", "Lines of the process' own log that nobody read in time", count_dropped_lines)


def _build_observers(settings: Settings, metrics: Metrics) -> Observers:
    lines = AccessLog(sys.stdout.fileno(), on_drop=metrics.count_unlogged) if settings.access_log == "json" else None
    return Observers(metrics, lines, Traces(settings.otlp_endpoint) if settings.otlp_endpoint else None)


def _build_admission(settings: Settings, cores: int) -> Admission:
    limits = choose_limits(settings, cores)
    return Admission(
        queue=limits.places,
        in_flight=limits.permits,
        deadline_s=settings.deadline_s,
        max_wait_s=settings.max_wait_s,
        most_bytes=settings.max_bytes_under_way,
    )


def _build_authentication(keys: ApiKeys | None, settings: Settings) -> "list[Middleware]":
    if not keys:
        return []
    public = {path for protocol in PROTOCOLS for path in protocol.public} | pages.PATHS | page.PATHS
    if settings.open_metrics:
        public.add(exposition.PATH)
    return [require_key(keys, frozenset(public))]


def _run_engines(
    repository: Repository, matting: Matting, observers: Observers, settings: Settings
) -> Callable[[web.Application], AsyncIterator[None]]:
    """For `Application.cleanup_ctx`: models are loaded first and closed last; then what was observed is sent."""

    async def run(app: web.Application) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(repository.load)
            async with repository.watch(settings.watch_s):
                yield
            repository.close()
            await asyncio.to_thread(matting.close)
        finally:
            await asyncio.to_thread(observers.close)

    return run


def _build_factory(
    open_engine: EngineFactory | None, settings: Settings, cores: int, metrics: Metrics
) -> EngineFactory:
    """What opens engines, OpenVINO's unless given; successes and failures are counted."""
    cache = GraphCache(Path(settings.cache), settings.cache_bytes) if settings.cache else None

    def open_and_count(found: Artifact) -> Engine:
        try:
            if open_engine:
                engine = open_engine(found)
            else:
                engine = OpenVinoEngine(found.manifest, found.graph, found.weights, cores, cache)
        except Exception:
            metrics.count_load("failed")
            raise
        metrics.count_load("ready")
        return engine

    return open_and_count
