"""Cross-origin requests: which origins may read responses (CORS, Fetch standard) and open WebSockets (RFC 6454)."""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import ForbiddenError, SettingsError, brief
from danmatte.http.request_keys import HOST

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+", re.ASCII)
_METHODS: Final = "GET, HEAD, POST"
_READABLE: Final = (
    "Retry-After, Server-Timing, X-Frame-Pts, X-Mask-Size, X-Model-Version, X-Models, X-Person-Coverage, "
    "X-Picture-Warning, X-Request-Id, Inference-Header-Content-Length"
)
_REMEMBERED_S: Final = 7200  # Chromium caches preflight responses for at most this long


class Origins:
    """The allowed origins: none, some, or all."""

    def __init__(self, setting: str) -> None:
        """Parse the setting: empty, `*`, or origins separated by commas; raises SettingsError."""
        names = [name.strip() for name in setting.split(",") if name.strip()]
        self._all = "*" in names
        for name in names:
            if name != "*" and not _ORIGIN.fullmatch(name):
                raise SettingsError(f"origins: expected https://host or https://host:port, or *, received {name!r}")
        self._names = frozenset(name.lower() for name in names)

    def allows(self, origin: str) -> bool:
        """Return whether pages of this origin are allowed."""
        return self._all or origin.lower() in self._names

    def check_upgrade(self, request: web.Request) -> None:
        """Raise ForbiddenError for a WebSocket from an origin that is neither allowed nor this server's own.

        Browsers send no preflight before they open a WebSocket.
        """
        origin = request.headers.get("Origin")
        host = str(request.get(HOST, "")) or request.headers.get("Host", "")
        if origin is None or self.allows(origin) or origin.partition("://")[2].lower() == host.lower() != "":
            return
        raise ForbiddenError(f"origins: expected one that the server's setting allows, received {brief(origin)}")


def answer_preflights(origins: Origins) -> Middleware:
    """Return a middleware that responds to CORS preflights, which carry no API key.

    It raises ForbiddenError for origins that aren't allowed.
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        wanted = request.headers.get("Access-Control-Request-Method")
        if request.method != "OPTIONS" or wanted is None or "Origin" not in request.headers:
            return await handler(request)
        if not origins.allows(request.headers["Origin"]):
            received = brief(request.headers["Origin"])
            raise ForbiddenError(f"origins: expected one that the server's setting allows, received {received}")
        headers = {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
            "Access-Control-Max-Age": str(_REMEMBERED_S),
        }
        return web.Response(status=204, headers=headers)

    return answer


def add_cors_headers(origins: Origins) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Return a callback for `Application.on_response_prepare` that adds CORS headers, also to errors."""

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        origin = request.headers.get("Origin")
        if origin is None or "Access-Control-Allow-Origin" in response.headers:  # a public file
            return
        response.headers.add("Vary", "Origin")
        if origins.allows(origin):
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _READABLE
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    return add
