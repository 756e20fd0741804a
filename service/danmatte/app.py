"""Construction of the aiohttp application from the settings."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

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
from danmatte.http.api_keys import ApiKeys
from danmatte.http.auth import add_security_headers, require_key
from danmatte.http.errors import add_request_id, catch_errors
from danmatte.http.file_watch import FILES, FileWatch
from danmatte.http.forwarded import TrustedProxies, read_forwarded
from danmatte.http.origins import Origins, add_cors_headers, answer_preflights
from danmatte.http.runner import ConnectionLifetime
from danmatte.http.telemetry import Observers, find_protocol, observe_requests
from danmatte.inference.admission import Admission
from danmatte.inference.limits import choose_limits
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import STUCK_AFTER_S, Matting
from danmatte.inference.quotas import Quotas
from danmatte.inference.request import Requests
from danmatte.models import AnswerCheck, EngineFactory, PolicyFolder, Repository
from danmatte.settings import Settings
from danmatte.telemetry.log import AccessLog, count_dropped_lines, count_native_lines
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.statistics import Statistics
from danmatte.telemetry.tracing import Traces

LIVE = web.AppKey("live", LiveCalls)
REQUESTS = web.AppKey("requests", Requests)
ADMISSION = web.AppKey("admission", Admission)
REPOSITORY = web.AppKey("repository", Repository)
RENEW: web.AppKey[Callable[[], None]] = web.AppKey("renew")


def build(
    settings: Settings, open_engine: EngineFactory | None = None, changed: Callable[[], None] = lambda: None
) -> web.Application:
    """Build the application. Models are loaded when it starts; SettingsError is raised then if none can be loaded.

    `changed` is called after each request to the admin API that may have changed a model.
    """
    metrics = Metrics()
    keys = ApiKeys.read(Path(settings.keys)) if settings.keys else None
    observers = _build_observers(settings, metrics)
    requests = _build_requests(settings, open_engine, metrics, keys)
    _watch(metrics, requests.admission, requests.live)

    app = web.Application(client_max_size=settings.max_body_bytes)
    app[ADMISSION], app[REPOSITORY] = requests.admission, requests.repository
    app[LIVE], app[REQUESTS] = requests.live, requests

    async def leave(app: web.Application) -> None:
        requests.live.end_all()  # live connections have no natural end, so waiting for them would time out

    app.on_shutdown.append(leave)

    files = app[FILES] = FileWatch()
    if keys:
        files.add([Path(settings.keys)], partial(_renew_keys, keys, requests.live))

    def renew() -> None:
        """Reload models, keys and the certificate from disk; called on SIGHUP."""
        requests.repository.refresh_soon()
        files.renew_soon()

    app[RENEW] = renew
    shared = Shared(requests, settings, metrics)
    for protocol in PROTOCOLS:
        protocol(shared).attach(app)
    app.add_routes([*PageRoutes().routes(), *OpenApiRoutes(requests.repository, show_models=not keys).routes()])
    _add_middlewares(app, settings, observers, keys)

    app.cleanup_ctx.append(_run_engines(requests, observers, settings))
    if settings.grpc_port:
        app.cleanup_ctx.append(grpc.serve_beside(requests, settings, observers=observers, keys=keys))
    if settings.admin_grpc_port:
        run = grpc.serve_beside(requests, settings, observers=observers, keys=keys, changed=changed)
        app.cleanup_ctx.append(run)
    if settings.admin_port:
        admin = AdminRoutes(requests.repository, Catalogue(requests), changed)
        guard = [require_key(keys, frozenset(), lambda request: "admin")] if keys else []
        app.cleanup_ctx.append(admin.serve_beside(settings, guard))
    # Last, because no context is cleaned up if another one fails to start, and its task would keep running.
    app.cleanup_ctx.append(files.run_beside(settings.watch_s))
    return app


async def _renew_keys(keys: ApiKeys, live: LiveCalls) -> None:
    await asyncio.to_thread(keys.read_again)
    live.end_revoked()


def _add_middlewares(app: web.Application, settings: Settings, observers: Observers, keys: ApiKeys | None) -> None:
    """Add the middlewares, outermost first, and the callbacks that set headers on every response."""
    prefixes = dict(pair for protocol in PROTOCOLS for pair in protocol.prefixes)
    proxies, origins = TrustedProxies(settings.trusted_proxies), Origins(settings.origins)
    if proxies:
        app.middlewares.append(read_forwarded(proxies))
    app.middlewares.extend([observe_requests(observers, prefixes), catch_errors, answer_preflights(origins)])
    if keys:
        public = {path for protocol in PROTOCOLS for path in protocol.public} | pages.PATHS | page.PATHS
        if settings.open_metrics:
            public.add(exposition.PATH)
        app.middlewares.append(require_key(keys, frozenset(public), partial(find_protocol, protocols=prefixes)))
    admission = app[ADMISSION]
    lifetime = ConnectionLifetime(lambda: admission.draining or admission.leaving, max_age_s=settings.connection_s)
    app.on_response_prepare.extend([add_request_id, add_security_headers, add_cors_headers(origins), lifetime.prepare])


def _build_requests(
    settings: Settings, open_engine: EngineFactory | None, metrics: Metrics, keys: ApiKeys | None
) -> Requests:
    """Build the shared state of all requests from the settings: models, admission, threads and live calls."""
    cores = settings.cores or count_cores()
    quotas = Quotas(keys.find_quota) if keys else Quotas()
    statistics = Statistics()
    repository = Repository(
        settings.models_folder,
        _build_factory(open_engine or _choose_engine(settings, cores), metrics, statistics),
        default=settings.model,
        spares=settings.spare_versions,
        check=AnswerCheck(settings.check_answers, settings.max_disagreement),
        policies=PolicyFolder(settings.policies_folder),
    )
    matting = Matting(
        workers=settings.pixel_threads or cores,
        max_pixels=settings.max_pixels,
        stuck_after_s=max(STUCK_AFTER_S, 2 * settings.deadline_s),  # by then every request has timed out
    )
    live = LiveCalls(settings.live_connections, quotas)
    return Requests(repository, _build_admission(settings, cores, quotas), matting, live, statistics)


def _watch(metrics: Metrics, admission: Admission, live: LiveCalls) -> None:
    """Register the gauges that are read from admission, live calls and the log."""
    metrics.watch("danmatte_in_flight", "Accepted requests and live connections", lambda: admission.occupied)
    metrics.watch("danmatte_live_connections", "Open live connections and streams", lambda: len(live))
    metrics.watch("danmatte_waiting", "Requests waiting for a permit to compute", lambda: admission.waiting)
    metrics.watch("danmatte_native_lines", "Lines written to standard error by native libraries", count_native_lines)
    metrics.watch("danmatte_bytes_under_way", "Request and response bytes in memory", lambda: admission.held_bytes)
    metrics.watch("danmatte_log_dropped", "Lines of the log dropped because its reader was slow", count_dropped_lines)


def _build_observers(settings: Settings, metrics: Metrics) -> Observers:
    lines = AccessLog(sys.stdout.fileno(), on_drop=metrics.count_unlogged) if settings.access_log == "json" else None
    return Observers(metrics, lines, Traces(settings.otlp_endpoint) if settings.otlp_endpoint else None)


def _build_admission(settings: Settings, cores: int, quotas: Quotas) -> Admission:
    limits = choose_limits(settings, cores)
    return Admission(
        queue=limits.places,
        in_flight=limits.permits,
        deadline_s=settings.deadline_s,
        max_wait_s=settings.max_wait_s,
        max_bytes=settings.max_bytes_under_way,
        quotas=quotas,
    )


def _run_engines(
    requests: Requests, observers: Observers, settings: Settings
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context for `Application.cleanup_ctx` that loads the models at startup and closes them at shutdown.

    After closing them, it flushes the access log and the traces.
    """

    async def run(app: web.Application) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(requests.repository.load)
            async with requests.repository.watch(settings.watch_s):
                yield
            requests.repository.close()
            await asyncio.to_thread(requests.matting.close)
        finally:
            await asyncio.to_thread(observers.close)

    return run


def _choose_engine(settings: Settings, cores: int) -> EngineFactory:
    """Return a factory of OpenVINO engines, with a cache of compiled graphs if the settings name a folder."""
    cache = GraphCache(Path(settings.cache), settings.cache_bytes) if settings.cache else None
    return lambda found: OpenVinoEngine(found.manifest, found.graph, found.weights, cores, cache)


def _build_factory(open_engine: EngineFactory, metrics: Metrics, statistics: Statistics) -> EngineFactory:
    """Wrap a factory so that it counts successes and failures; all engines of a version share one statistic."""

    def open_and_count(found: Artifact) -> Engine:
        try:
            engine = open_engine(found)
        except Exception:
            metrics.count_load("failed")
            raise
        engine.executions = statistics.get_executions((found.manifest.name, found.manifest.version))
        metrics.count_load("ready")
        return engine

    return open_and_count
