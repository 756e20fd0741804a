"""HTTP connections: JSON errors for malformed requests, and rules for closing connections."""

import math
import socket
import time
from asyncio import BaseTransport, TimerHandle
from collections.abc import Callable
from uuid import uuid4
from weakref import WeakKeyDictionary

from aiohttp import HttpVersion11, StreamReader, http_exceptions, web
from aiohttp.web_protocol import RequestHandler

from danmatte.http.body import CODINGS
from danmatte.http.errors import refuse, translate
from danmatte.http.request_keys import AWAITS_CONTINUE, REQUEST_ID

_PROBE_S = 0.05
_TCP_CLOSE = 7  # Linux' <netinet/tcp.h>


class Runner(web.AppRunner):
    """aiohttp's runner with JSON errors for malformed requests.

    aiohttp responds to those in plain text, and has no hook to change that.
    """

    def limit_shutdown(self, left_s: float) -> None:
        """Limit the time for closing to this many seconds."""
        # aiohttp waits for this timeout twice: for handlers to end, and again after it has cancelled them.
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
    """A connection that is aborted if the client reads nothing of a response for the keep-alive timeout.

    It is closed after the response if the client has closed its write side before the end of the body. aiohttp would
    wait ten seconds for the rest, also at shutdown.
    """

    __slots__ = ("_has_ended", "_look", "_unread")
    _has_ended: bool
    """Whether the client has closed its write side."""
    _look: TimerHandle
    _unread: StreamReader | None
    """The body of the last request, if it is incomplete although the response was sent."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        self._has_ended, self._unread = False, None
        # Writing is paused while anything is unsent, so that a finished drain() means that the last byte was sent.
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
        """Keep the write side open for a client that has closed its own write side and waits for the response."""
        super().eof_received()
        self._has_ended = True
        idles = self._waiter is not None and not self._messages
        lingers = self._current_request is None and self._unread is not None and not self._unread.is_eof()
        if idles or lingers or self._upgraded or self.transport is None or self.transport.get_extra_info("sslcontext"):
            return None  # close the connection
        self._close_after_last()
        self._loop.call_later(_PROBE_S, self._probe)
        return True

    def _close_after_last(self) -> None:
        """Close the connection after this response, unless there are more requests to respond to."""
        if not self._messages:
            self.close()

    def _probe(self) -> None:
        """Check whether the client still waits for the response, unless the response has begun.

        A client that has closed both directions looks like one that waits until something is sent to it. So this
        sends an interim response, which every client ignores (RFC 9110, 15.2): if the connection is closed, the
        client's system resets it, and the request can be cancelled instead of being computed in vain.
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
        """Abort the connection if the client's system has reset it; otherwise check again later."""
        connection = self.transport and self.transport.get_extra_info("socket")
        if not connection or connection.fileno() < 0 or not self.transport:
            return
        state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        if state == _TCP_CLOSE:
            self.transport.abort()
        else:
            self._loop.call_later(_PROBE_S, self._check_reader)

    def _look_later(self, before: float = math.inf) -> None:
        """Check at intervals that the number of unsent bytes decreases; abort the connection if it doesn't."""
        left = self.transport.get_write_buffer_size() if self.transport else 0
        if left < before:
            self._look = self._loop.call_later(self.keepalive_timeout, self._look_later, left)
        elif self.transport:
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        # The `expect_handler` runs before the middlewares, so they haven't converted its error.
        if isinstance(resp, web.HTTPException) and REQUEST_ID not in request:
            request[REQUEST_ID] = uuid4().hex
            resp = translate(request, resp)
        finished = await super().finish_response(request, resp, start_time)
        await request.writer.drain()  # otherwise unread responses to pipelined requests would pile up in memory
        self._unread = None if request.content.is_eof() else request.content
        if self._has_ended:
            self._close_after_last()
            if self._unread and self.transport:
                self.transport.close()  # the rest of the body won't come
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the response has already begun")
        request[REQUEST_ID] = uuid4().hex
        response = _explain(request, status, exc)
        response.headers["X-Request-Id"] = request[REQUEST_ID]
        response.force_close()
        return response


def _explain(request: web.BaseRequest, status: int, error: BaseException | None) -> web.Response:
    """Build the response to a malformed request from the error of aiohttp's parser."""
    if isinstance(error, http_exceptions.LineTooLong):
        line = (error.message or type(error).__name__).splitlines()[0][:200]
        return refuse(request, f"request line, headers: {line}", "headers_too_large", 431)
    if isinstance(error, http_exceptions.ContentEncodingError):
        return refuse(request, f"Content-Encoding: {CODINGS}", "unsupported_media_type", 415)
    if isinstance(error, http_exceptions.BadHttpMessage) and "Too many headers" in error.message:
        return refuse(request, "headers: received too many", "headers_too_large", 431)
    if status < 500:
        return refuse(request, "expected an HTTP request", "bad_request", status)
    return refuse(request, "internal server error", "internal_error", status)


class ConnectionLifetime:
    """Closes connections after their next response: all while the server drains, otherwise those that are too old.

    A connection stays with the worker that accepted it. Without a maximum age, a restarted worker or a new pod would
    idle for as long as the clients keep their old connections.
    """

    def __init__(self, is_draining: Callable[[], bool], *, max_age_s: float) -> None:
        """A `max_age_s` of 0 means no limit."""
        self._is_draining, self._max_age_s = is_draining, max_age_s
        self._since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """Set `Connection: close` where needed; for `Application.on_response_prepare`."""
        # A client that received no `100 Continue` may or may not send its body, so the next bytes are ambiguous.
        unasked = request.get(AWAITS_CONTINUE, False)
        if response.status != 101 and (unasked or self._is_draining() or self._is_old(request)):
            response.force_close()
            response.headers["Connection"] = "close"

    def _is_old(self, request: web.Request) -> bool:
        if not self._max_age_s or request.transport is None:
            return False
        now = time.monotonic()
        return now - self._since.setdefault(request.transport, now) > self._max_age_s
