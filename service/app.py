"""The parts put together, and a server's life: load, serve, drain."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import cv2
from aiohttp import web

from service.admission import Admission
from service.artifact import Artifact
from service.cores import available_cores
from service.engine import OpenVinoEngine
from service.errors import SettingsError
from service.matting import Matting
from service.protocols.envelope import envelope
from service.protocols.health import Health
from service.protocols.mattes import Mattes
from service.repository import EngineFactory, Repository
from service.settings import Settings

log = logging.getLogger(__name__)
ADMISSION = web.AppKey("admission", Admission)


def build(settings: Settings, open_engine: EngineFactory | None = None) -> web.Application:
    """The application; models are loaded when it starts, which raises SettingsError when none can be."""
    cores = settings.cores or available_cores()
    repository = Repository(
        settings.models_folder,
        open_engine or (lambda found: _compiled(found, cores)),
        default=settings.model,
        spares=settings.spare_versions,
    )
    in_flight = settings.in_flight or 2 * cores + 2
    admission = Admission(queue=settings.queue, in_flight=in_flight, deadline_s=settings.deadline_s)
    matting = Matting(workers=settings.workers or cores, max_pixels=settings.max_pixels)

    async def engines(app: web.Application) -> AsyncIterator[None]:
        await asyncio.to_thread(repository.load)
        yield
        repository.close()
        matting.close()

    app = web.Application(middlewares=[envelope], client_max_size=settings.max_body_bytes)
    app[ADMISSION] = admission
    app.add_routes(Mattes(matting, admission, repository, upload_s=settings.upload_s).routes())
    app.add_routes(Health(lambda: not admission.draining).routes())
    app.cleanup_ctx.append(engines)
    return app


async def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT, answers everything accepted, and returns."""
    cv2.setNumThreads(1)  # frames are spread over threads already
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    app = build(settings)
    async with _listening(app, settings) as address:
        print(f"matting: ready on {address}", flush=True)
        await stop.wait()
        if not await app[ADMISSION].drain(settings.drain_s):
            log.warning("some requests were not answered within %g s", settings.drain_s)


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=settings.drain_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"{settings.host}:{settings.port}: {error.strerror}") from error
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _compiled(found: Artifact, cores: int) -> OpenVinoEngine:
    return OpenVinoEngine(found.manifest, found.graph, found.weights, cores)
