"""The parts put together, and a server's life: load, serve, drain."""

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from socket import socket
from typing import Protocol

import cv2
from aiohttp import web

from danmatte.api import grpc
from danmatte.api.admin import Admin
from danmatte.api.health import Health
from danmatte.api.mattes import Mattes
from danmatte.api.openapi import Description
from danmatte.api.pages import Pages
from danmatte.api.scrape import Scrape
from danmatte.api.served_models import Models
from danmatte.api.stream import Live
from danmatte.api.tfs.routes import Tfs
from danmatte.api.v2.routes import V2
from danmatte.contract.cores import count_cores
from danmatte.engine import GraphCache, OpenVinoEngine
from danmatte.http.api_keys import Keys
from danmatte.http.connection_lifetime import Parting
from danmatte.http.listener import Door, address, bound, listening
from danmatte.inference.admission import Admission
from danmatte.inference.matting import Matting
from danmatte.inference.tensors import Inference
from danmatte.middleware import counted, doors, observing, surround, telling
from danmatte.models import EngineFactory, Repository
from danmatte.settings import Settings
from danmatte.telemetry.log import dropped_lines
from danmatte.telemetry.metrics import Metrics

log = logging.getLogger(__name__)
_BEATS = 8  # within the longest silence
_GARBAGE = 20_000  # objects alive beyond what a busy server holds: at Python's 700 every few posts pay for a search
_FOR_A_CORE = 4  # turns: a pair in work, and the next; half of the places stay for who waits, and may be thrown out
_FEWEST_PLACES = 64
_CLOSING_S = 1.0  # for what is left when the time to drain is over
ADMISSION = web.AppKey("admission", Admission)
REPOSITORY = web.AppKey("repository", Repository)
LIVE = web.AppKey("live", Live)
RENEW: web.AppKey[Callable[[], None]] = web.AppKey("renew")


class Link(Protocol):
    """A worker's bond to its supervisor; its descriptor becomes readable when the supervisor is gone."""

    @property
    def listener(self) -> socket:
        """The socket that all share."""

    def ready(self) -> None:
        """Says that posts are taken."""

    def changed(self) -> None:
        """Says that models may have changed, for the others to look."""

    def alive(self) -> None:
        """Says that the worker isn't hung."""

    def fileno(self) -> int:
        """The descriptor."""


def build(
    settings: Settings, open_engine: EngineFactory | None = None, changed: Callable[[], None] = lambda: None
) -> web.Application:
    """The application; models are loaded when it starts, which raises SettingsError when none can be.

    `changed` is called after whatever the administrator does.
    """
    cores = settings.cores or count_cores()
    metrics = Metrics()
    keys = Keys.read(Path(settings.keys)) if settings.keys else None
    observers = observing(settings, metrics)
    repository = Repository(
        settings.models_folder,
        counted(open_engine or _compiler(settings, cores), metrics),
        default=settings.model,
        spares=settings.spare_versions,
    )
    admission = _admission(settings, cores)
    matting = Matting(workers=settings.pixel_threads or cores, max_pixels=settings.max_pixels)

    async def engines(app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(repository.load)
        async with repository.watch(settings.watch_s):
            yield
        repository.close()
        await asyncio.to_thread(matting.close)

    app = web.Application(client_max_size=settings.max_body_bytes)
    app[ADMISSION], app[REPOSITORY] = admission, repository
    app.add_routes(Mattes(matting, admission, repository, upload_s=settings.upload_s).routes())
    _add_live(app, Live(matting, admission, repository, settings, metrics))
    models = Models(repository, admission, Inference(matting))
    app.add_routes(
        [*V2(models, upload_s=settings.upload_s).routes(), *Tfs(models, upload_s=settings.upload_s).routes()]
    )
    app.add_routes(Health(lambda: admission.ready).routes())
    app.add_routes(Pages().routes())
    app.add_routes(Description(repository, named=not settings.keys).routes())
    app[RENEW] = lambda: _renew(repository, keys)
    surround(app, observers, Scrape(metrics, repository), doors(settings, keys))
    app.on_response_prepare.append(Parting(admission, longest_s=settings.connection_s * (settings.workers > 1)).prepare)
    _watch(metrics, admission, app[LIVE])
    app.cleanup_ctx.append(engines)
    if settings.grpc_port:
        app.cleanup_ctx.append(grpc.beside(models, settings, observers=observers, keys=keys))
    if settings.admin_port:
        within = [*doors(settings, keys), telling(changed)]
        app.cleanup_ctx.append(Admin(repository, models).beside(settings, within, Door))
    return app


async def serve(settings: Settings, link: Link | None = None) -> None:
    """Serves until SIGTERM or SIGINT, answers everything accepted, and returns; SIGHUP looks for new models.

    `link` is how one of several workers hangs together with the others.
    """
    cv2.setNumThreads(1)  # frames are spread over threads already
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    with link.listener if link else bound(settings) as listener:
        app = build(settings, changed=link.changed) if link else build(settings)
        async with listening(app, settings, listener) as door:
            if link:
                loop.add_reader(link.fileno(), _orphaned, link, stop)
                link.ready()
                if settings.silence_s:
                    _beat(link, app[ADMISSION], settings.silence_s / _BEATS)
            else:
                print(f"danmatte: ready on {address(listener, settings)}", flush=True)
            loop.add_signal_handler(signal.SIGHUP, app[RENEW])
            gc.freeze()  # what is here now stays, and need not be looked through between frames
            gc.set_threshold(_GARBAGE, *gc.get_threshold()[1:])
            await stop.wait()
            until = loop.time() + settings.drain_s
            app[LIVE].leave()
            if not await app[ADMISSION].drain(settings.drain_s):
                log.warning("some requests were not answered within %g s", settings.drain_s)
            door.hurry(max(_CLOSING_S, until - loop.time()))


def _beat(link: Link, admission: Admission, every_s: float) -> None:
    """Says that all is well as long as it is; a loop that hangs says nothing, nor does a worker that answers nobody."""
    if not admission.stuck:
        link.alive()
    asyncio.get_running_loop().call_later(every_s, _beat, link, admission, every_s)


def _orphaned(link: Link, stop: asyncio.Event) -> None:
    """The supervisor never writes: it is gone. The line would stay readable, and keep the loop busy."""
    asyncio.get_running_loop().remove_reader(link.fileno())
    stop.set()


def _admission(settings: Settings, cores: int) -> Admission:
    queue = settings.queue or max(_FEWEST_PLACES, 2 * _FOR_A_CORE * cores)
    return Admission(
        queue=queue,
        in_flight=settings.in_flight or min(_FOR_A_CORE * cores, max(1, queue // 2)),
        deadline_s=settings.deadline_s,
        max_wait_s=settings.max_wait_s,
    )


def _renew(repository: Repository, keys: Keys | None) -> None:
    """For SIGHUP: models and keys, as the disk has them now."""
    repository.refresh_soon()
    if keys:
        asyncio.get_running_loop().run_in_executor(None, keys.read_again)


def _watch(metrics: Metrics, admission: Admission, live: Live) -> None:
    metrics.watch("danmatte_in_flight", "Inside: posts and live connections", lambda: admission.inside)
    metrics.watch("danmatte_waiting", "Posts that wait for a turn", lambda: admission.waiting)
    metrics.watch("danmatte_log_dropped", "Lines of the process' own log that nobody read in time", dropped_lines)
    metrics.watch("danmatte_live_connections", "Open live connections", lambda: live.connections)


def _add_live(app: web.Application, live: Live) -> None:
    """Live connections would outlast any wait for requests, so they are told when to go."""

    async def left(app: web.Application) -> None:
        live.leave()

    app[LIVE] = live
    app.add_routes(live.routes())
    app.on_shutdown.append(left)


def _compiler(settings: Settings, cores: int) -> EngineFactory:
    cache = GraphCache(Path(settings.cache), settings.cache_bytes) if settings.cache else None
    return lambda found: OpenVinoEngine(found.manifest, found.graph, found.weights, cores, cache)
