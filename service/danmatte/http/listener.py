"""The listening socket: binding, TLS, and serving an application on it."""

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web

from danmatte.errors import SettingsError
from danmatte.http.certificate import Certificate
from danmatte.http.file_watch import FILES
from danmatte.http.runner import Runner
from danmatte.http.shared_socket import share
from danmatte.settings import Settings

log = logging.getLogger(__name__)
BACKLOG = 1024
_UNSENT_BYTES = 2**17


def bind(settings: Settings) -> socket.socket:
    """Return a socket bound to the host and port, not listening yet; raises SettingsError."""
    port = settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"{settings.host}:{port}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit this; otherwise the kernel buffers megabytes of each response that isn't read.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES)
        listener.bind(place)
    except OSError as error:
        listener.close()
        raise SettingsError(f"{settings.host}:{port}: {error.strerror}") from error
    return listener


def build_url(listener: socket.socket, settings: Settings) -> str:
    """Return the URL of a socket."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def read_certificate(settings: Settings) -> Certificate | None:
    """Return the certificate named in the settings, None if there is none; raises SettingsError."""
    return Certificate(settings.tls_certificate, settings.tls_key) if settings.tls_certificate else None


def _limit_accept_errors() -> None:
    """Limit the error about missing file descriptors to one log line a second.

    asyncio logs it for every pending connection.
    """
    loop, logged_at = asyncio.get_running_loop(), [-math.inf]

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "socket" not in context or not isinstance(context.get("exception"), OSError):
            loop.default_exception_handler(context)
        elif loop.time() - logged_at[0] > 1:
            logged_at[0] = loop.time()
            log.error("can't accept connections: %s", context["exception"])

    loop.set_exception_handler(handle)


@asynccontextmanager
async def listen(app: web.Application, settings: Settings, listener: socket.socket) -> AsyncIterator[Runner]:
    """Serve the application on the socket while the block runs; raises SettingsError.

    With several workers, the socket is shared between them.
    """
    certificate = read_certificate(settings)
    tls = certificate.context if certificate else None
    if certificate and FILES in app:
        app[FILES].add(certificate.files, partial(asyncio.to_thread, certificate.renew))
    runner = Runner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=settings.drain_s / 2,
        keepalive_timeout=settings.keepalive_s,
        max_line_size=settings.max_header_bytes,
        max_field_size=settings.max_header_bytes,
        max_headers=settings.max_headers,
    )
    await runner.setup()
    try:
        async with AsyncExitStack() as until_end:
            try:
                listener.listen(BACKLOG)
                listener.setblocking(False)
            except OSError as error:
                raise SettingsError(f"{listener.getsockname()[0]}: {error.strerror}") from error
            if settings.workers > 1 and runner.server:
                await until_end.enter_async_context(share(listener, runner.server, tls))
            else:
                _limit_accept_errors()
                await web.SockSite(runner, listener, backlog=BACKLOG, ssl_context=tls).start()
            yield runner
    finally:
        await runner.cleanup()
