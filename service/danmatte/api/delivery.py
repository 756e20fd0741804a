"""An answer's way over HTTP, to its last byte: its request keeps its place and counts its bytes for as long."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from aiohttp import web

from danmatte.http.errors import CallerLeftError
from danmatte.http.request_keys import SENT_BYTES
from danmatte.inference.request import Request

# Written at once, as most masks are; more would wait in the connection's buffer instead of being counted here.
_AT_ONCE_BYTES: Final = 2**16
_PIECE_BYTES: Final = 2**17


async def deliver(
    http: web.Request, request: Request, body: bytes, headers: Mapping[str, str], status: int = 200
) -> web.StreamResponse:
    """Writes an answer while its request is inside, and returns when the system has taken the last byte of it.

    Raises QueueFullError where answers take too many bytes already, and CallerLeftError when its reader has gone.
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
    """Writes a piece of an answer, the headers before the first, and waits until most of it is read.

    Raises CallerLeftError.
    """
    with _translate(), request.send(lambda: abort(http)):
        if not response.prepared:
            await response.prepare(http)
        if piece:
            await response.write(piece)
            http[SENT_BYTES] = http.get(SENT_BYTES, 0) + len(piece)


def split_body(body: bytes) -> Iterator[memoryview]:
    """Pieces that are read in a moment, by whoever reads."""
    view = memoryview(body)
    return (view[start : start + _PIECE_BYTES] for start in range(0, len(body), _PIECE_BYTES))


def abort(http: web.Request) -> None:
    """Ends the connection of a request at once."""
    if http.transport:
        http.transport.abort()


@contextmanager
def _translate() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise CallerLeftError from error
