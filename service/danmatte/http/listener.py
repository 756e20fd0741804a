"""The socket and what is spoken on it before a request is one: limits, TLS, an answer to what isn't HTTP."""

import asyncio
import math
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from aiohttp import http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from danmatte.errors import SettingsError
from danmatte.http.body import CODINGS
from danmatte.http.errors import refusal, translated
from danmatte.http.request_keys import REQUEST_ID
from danmatte.http.shared_socket import sharing
from danmatte.settings import Settings

BACKLOG = 1024


def bound(settings: Settings) -> socket.socket:
    """A socket at host and port, not listening yet; raises SettingsError."""
    port = settings.port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsError(f"{settings.host}:{port}: {error.strerror}") from error
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except OSError as error:
        found.close()
        raise SettingsError(f"{settings.host}:{port}: {error.strerror}") from error
    return found


def address(listener: socket.socket, settings: Settings) -> str:
    """The URL of a socket."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def tls(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 and newer with the settings' certificate, None without one; raises SettingsError."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"tls_certificate, tls_key: expected a PEM certificate and its key: {error}") from error
    return context


class Door(web.AppRunner):
    """Answers in the one JSON shape where aiohttp answers in plain text; it has no hook for that."""

    def hurry(self, left_s: float) -> None:
        """Has closing take no longer than this: aiohttp waits once for handlers, and again once they are cancelled."""
        self._shutdown_timeout = max(0.0, left_s) / 2

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,
        )


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(RequestHandler):
    """Lets go of a peer who reads nothing of an answer for as long as a connection may idle."""

    __slots__ = ("_look",)
    _look: asyncio.TimerHandle

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look.cancel()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.writing_paused:
            self._look.cancel()
        super().connection_lost(exc)

    def _look_later(self, before: float = math.inf) -> None:
        """Looks whether less than `before` is left unread, and again."""
        left = self.transport.get_write_buffer_size() if self.transport else 0
        if left < before:
            self._look = self._loop.call_later(self.keepalive_timeout, self._look_later, left)
        elif self.transport:
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPException) and REQUEST_ID not in request:  # before any middleware: of `Expect`
            request[REQUEST_ID] = uuid4().hex
            resp = translated(request, resp)
        return await super().finish_response(request, resp, start_time)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        request[REQUEST_ID] = uuid4().hex
        response = _explained(request, status, exc)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.force_close()
        return response


@asynccontextmanager
async def listening(app: web.Application, settings: Settings, listener: socket.socket) -> AsyncIterator[Door]:
    """Serves the application on the socket, which others may share; raises SettingsError."""
    secured = tls(settings)
    door = Door(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=settings.drain_s / 2,
        keepalive_timeout=settings.keepalive_s,
        max_line_size=settings.max_header_bytes,
        max_field_size=settings.max_header_bytes,
        max_headers=settings.max_headers,
    )
    await door.setup()
    try:
        async with _taking(door, listener, secured, shared=settings.workers > 1):
            yield door
    finally:
        await door.cleanup()


@asynccontextmanager
async def _taking(
    door: Door, listener: socket.socket, secured: ssl.SSLContext | None, *, shared: bool
) -> AsyncIterator[None]:
    """Connections come in."""
    try:
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        raise SettingsError(f"{listener.getsockname()[0]}: {error.strerror}") from error
    if shared and door.server:
        async with sharing(listener, door.server, secured):
            yield
    else:
        await web.SockSite(door, listener, backlog=BACKLOG, ssl_context=secured).start()
        yield


def _explained(request: web.BaseRequest, status: int, error: BaseException | None) -> web.Response:
    if isinstance(error, http_exceptions.LineTooLong):
        return refusal(request, f"request line, headers: {_first_line(error)}", "headers_too_large", 431)
    if isinstance(error, http_exceptions.ContentEncodingError):
        return refusal(request, f"Content-Encoding: {CODINGS}", "unsupported_media_type", 415)
    if isinstance(error, http_exceptions.BadHttpMessage) and "Too many headers" in error.message:
        return refusal(request, "headers: received too many", "headers_too_large", 431)
    if status < 500:
        return refusal(request, "expected an HTTP request", "bad_request", status)
    return refusal(request, "an error of the server's own", "internal_error", status)


def _first_line(error: http_exceptions.HttpProcessingError) -> str:
    return (error.message or type(error).__name__).splitlines()[0][:200]
