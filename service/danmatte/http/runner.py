"""Connections: errors in our own shape for bytes that aren't HTTP, and when a connection is closed."""

import math
import socket
import time
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from uuid import uuid4
from weakref import WeakKeyDictionary

from aiohttp import HttpVersion11, http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from danmatte.http.body import CODINGS
from danmatte.http.errors import refuse, translate
from danmatte.http.request_keys import AWAITS_CONTINUE, REQUEST_ID

_PROBE_S = 0.05
_TCP_CLOSE = 7  # Linux' <netinet/tcp.h>


class Runner(web.AppRunner):
    """aiohttp's runner with errors in the one JSON shape: aiohttp answers in plain text, and has no hook for that."""

    def hurry(self, left_s: float) -> None:
        """Has closing take no longer than this."""
        # aiohttp waits once for handlers to end, and as long again after it has cancelled them.
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
    """Aborts the connection of a peer that reads nothing of an answer for as long as a connection may idle."""

    __slots__ = ("_look",)
    _look: TimerHandle

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        # Writing counts as paused while anything is unsent: whoever waits for it knows that the last byte has gone.
        if self.transport:
            self.transport.set_write_buffer_limits(high=0)

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

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Keeps the way back open to a caller who has sent all, and waits for its answer."""
        super().eof_received()
        idles = self._waiter is not None and not self._messages
        if idles or self._upgraded or self.transport is None or self.transport.get_extra_info("sslcontext"):
            return None  # the connection is closed
        self.close()  # after this answer
        self._loop.call_later(_PROBE_S, self._probe)
        return True

    def _probe(self) -> None:
        """Finds out whether anybody waits for the answer, as far as none has begun.

        Whoever has closed both ways looks the same as who waits, until something is sent: an interim answer, which
        every client passes over (RFC 9110, 15.2), is refused by its system. Then nothing is computed for nobody.
        """
        request = self._current_request
        if request is None or self.transport is None or request.writer.output_size:
            return
        if not request.content.is_eof():  # the rest of the body won't come
            self.transport.abort()
        elif request.version >= HttpVersion11:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._loop.call_later(_PROBE_S, self._check_reader)

    def _check_reader(self) -> None:
        """Ends the connection if the other side's system has refused what was sent; otherwise looks again."""
        connection = self.transport and self.transport.get_extra_info("socket")
        if not connection or connection.fileno() < 0 or not self.transport:
            return
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == _TCP_CLOSE:
            self.transport.abort()
        else:
            self._loop.call_later(_PROBE_S, self._check_reader)

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
            resp = translate(request, resp)
        finished = await super().finish_response(request, resp, start_time)
        await request.writer.drain()  # or answers to requests that were sent ahead would pile up here, unread
        return finished

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
        response = _explain(request, status, exc)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.force_close()
        return response


def _explain(request: web.BaseRequest, status: int, error: BaseException | None) -> web.Response:
    """The answer to bytes that are no request, by what aiohttp's parser says about them."""
    if isinstance(error, http_exceptions.LineTooLong):
        line = (error.message or type(error).__name__).splitlines()[0][:200]
        return refuse(request, f"request line, headers: {line}", "headers_too_large", 431)
    if isinstance(error, http_exceptions.ContentEncodingError):
        return refuse(request, f"Content-Encoding: {CODINGS}", "unsupported_media_type", 415)
    if isinstance(error, http_exceptions.BadHttpMessage) and "Too many headers" in error.message:
        return refuse(request, "headers: received too many", "headers_too_large", 431)
    if status < 500:
        return refuse(request, "expected an HTTP request", "bad_request", status)
    return refuse(request, "an error of the server's own", "internal_error", status)


class ConnectionLifetime:
    """Closes connections with their next answer: all while the server drains, and old ones at any time.

    Connections stay with the worker that accepted them: after one was replaced, or a pod was added, the new one would
    idle for as long as the callers keep theirs.
    """

    def __init__(self, is_draining: Callable[[], bool], *, longest_s: float) -> None:
        """`longest_s` 0 keeps connections however old they are."""
        self._is_draining, self._longest_s = is_draining, longest_s
        self._since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `Application.on_response_prepare`."""
        # Whoever was never asked for its body may send it or not: what comes next can't be told apart.
        unasked = request.get(AWAITS_CONTINUE, False)
        if response.status != 101 and (unasked or self._is_draining() or self._is_old(request)):
            response.force_close()
            response.headers["Connection"] = "close"

    def _is_old(self, request: web.Request) -> bool:
        if not self._longest_s or request.transport is None:
            return False
        now = time.monotonic()
        return now - self._since.setdefault(request.transport, now) > self._longest_s
