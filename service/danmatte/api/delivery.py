"""Sending of responses over HTTP. A request keeps its place in the queue until its whole response is sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from danmatte.http.errors import CallerLeftError
from danmatte.http.request_keys import SENT_BYTES
from danmatte.inference.request import Request

# Up to this size, a response is written in one piece, as most masks are. A larger one would sit in the connection's
# buffer, where its bytes aren't counted.
_AT_ONCE_BYTES: Final = 2**16
_PIECE_BYTES: Final = 2**17


async def deliver(
    http: web.Request, request: Request, body: bytes, headers: Mapping[str, str], status: int = 200
) -> web.StreamResponse:
    """Send a response, and return when the kernel has accepted its last byte.

    Raises QueueFullError if too many bytes are held in memory, and CallerLeftError if the client disconnects.
    """
    request.hold(len(body))
    response: web.StreamResponse
    if len(body) <= _AT_ONCE_BYTES:
        response = web.Response(body=body, headers=headers, status=status)
        await write(http, request, response, b"")
    else:
        response = web.StreamResponse(headers=headers, status=status)
        response.content_length = len(body)
        for piece in split_body(body):
            await write(http, request, response, piece)
    with _translate(), request.send(lambda: abort(http)):
        await response.write_eof()
        await http.writer.drain()
    return response


async def write(http: web.Request, request: Request, response: web.StreamResponse, piece: bytes | memoryview) -> None:
    """Write a piece of a response, preceded by the headers if it is the first, and wait for the client to read it.

    Raises CallerLeftError.
    """
    with _translate(), request.send(lambda: abort(http)):
        if not response.prepared:
            await response.prepare(http)
        if piece:
            await response.write(piece)
            http[SENT_BYTES] = http.get(SENT_BYTES, 0) + len(piece)


def split_body(body: bytes) -> Iterator[memoryview]:
    """Split a body into pieces small enough to be sent in a moment to a client that reads."""
    view = memoryview(body)
    return (view[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def abort(http: web.Request) -> None:
    """Close the connection of a request immediately, without flushing."""
    if http.transport:
        http.transport.abort()


@contextmanager
def _translate() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise CallerLeftError from error
