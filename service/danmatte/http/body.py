"""Reading of request bodies, with limits on size and time."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import HttpVersion11, web

from danmatte.errors import BodyError, BodyTimeoutError, BodyTooLargeError, MediaTypeError, brief
from danmatte.http.request_keys import AWAITS_CONTINUE

CODINGS: Final = "expected gzip, deflate or identity"


async def read_body(request: web.Request, upload_s: float, expected: str, hold: Callable[[int], None]) -> bytes:
    """Read the body and decompress it; its maximum size is the application's `client_max_size`.

    `hold` is called with the number of bytes to count as held in memory: before they are received if possible,
    otherwise as they arrive. It may raise. Raises MediaTypeError for an unsupported content encoding, BodyTimeoutError,
    BodyTooLargeError, and BodyError for an empty or incomplete body.
    """
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.strip().lower() not in ("gzip", "deflate", "identity"):
        raise MediaTypeError(f"Content-Encoding: {CODINGS}, received {brief(coding)}")
    try:
        async with asyncio.timeout(upload_s):
            data = await _read_whole(request, hold)
    except TimeoutError as error:
        raise BodyTimeoutError(f"body: expected within {upload_s:g} s (upload_s)") from error
    except web.RequestPayloadError as error:
        raise BodyError(f"body: {error}") from error
    if not data:
        raise BodyError(f"body: expected {expected}, received nothing")
    return data


async def _read_whole(request: web.Request, hold: Callable[[int], None]) -> bytes:
    """Do what `request.read()` does with one copy less, because a raw frame is a megabyte."""
    length, encoded = request.content_length, "Content-Encoding" in request.headers
    if not length or encoded:
        return await _read_pieces(request, hold)
    # If much of the body arrived before the handler started, aiohttp has already paused reading the connection.
    if request.content.total_bytes > request.content.get_read_buffer_limits()[1]:
        return await _read_pieces(request, hold)
    if length > request.client_max_size:
        raise _build_too_large(request)
    hold(length)
    await _ask_for_body(request)
    request.content.set_read_chunk_size(length)  # otherwise each chunk would wake the reader
    if error := request.content.exception():
        raise error
    await request.content.wait_eof()
    return request.content.read_nowait()


async def defer_continue(request: web.Request) -> None:
    """Defer the `100 Continue` response until the key and the length are checked; for routes' `expect_handler`.

    Raises HTTPExpectationFailed for any other expectation.
    """
    expected = request.headers.get("Expect", "")
    if request.version >= HttpVersion11 and expected.lower() != "100-continue":
        raise web.HTTPExpectationFailed(text=f"Expect: unknown {expected!r}")
    request[AWAITS_CONTINUE] = request.version >= HttpVersion11


async def _ask_for_body(request: web.Request) -> None:
    """Send `100 Continue` if the client waits for it (RFC 9110, 10.1.1)."""
    if request.get(AWAITS_CONTINUE):
        request[AWAITS_CONTINUE] = False
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # as aiohttp does: an interim response isn't the start of the response


async def _read_pieces(request: web.Request, hold: Callable[[int], None]) -> bytes:
    """Read a body chunk by chunk."""
    parts: list[bytes] = []
    room = request.client_max_size
    if (request.content_length or 0) > room and "Content-Encoding" not in request.headers:
        raise _build_too_large(request)
    await _ask_for_body(request)
    async for part in request.content.iter_any():
        room -= len(part)
        if room < 0:
            raise _build_too_large(request)
        hold(len(part))
        parts.append(part)
    return b"".join(parts)


def _build_too_large(request: web.Request) -> BodyTooLargeError:
    return BodyTooLargeError(f"body: expected at most {request.client_max_size} bytes (max_body_bytes)")
