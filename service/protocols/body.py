"""A request's body, whole and in time."""

import asyncio

from aiohttp import web

from service.errors import BodyError, BodyTimeoutError, BodyTooLargeError


async def body(request: web.Request, upload_s: float, expected: str) -> bytes:
    """The body, decompressed; its limit is the application's `client_max_size`.

    Raises BodyTimeoutError, BodyTooLargeError, and BodyError when there is none, or it broke on the way.
    """
    try:
        async with asyncio.timeout(upload_s):
            data = await _whole(request)
    except TimeoutError as error:
        raise BodyTimeoutError(f"body: expected within {upload_s:g} s") from error
    except web.RequestPayloadError as error:
        raise BodyError(f"body: {error}") from error
    if not data:
        raise BodyError(f"body: expected {expected}, received nothing")
    return data


async def _whole(request: web.Request) -> bytes:
    """As `request.read()`, with one copy less: a raw frame is a megabyte."""
    parts: list[bytes] = []
    room = request.client_max_size
    async for part in request.content.iter_any():
        room -= len(part)
        if room < 0:
            raise BodyTooLargeError(f"body: expected at most {request.client_max_size} bytes")
        parts.append(part)
    return b"".join(parts)
