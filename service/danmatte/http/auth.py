"""Authentication by API keys and tokens, and security headers of responses."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import ForbiddenError, brief
from danmatte.http.api_keys import ApiKeys
from danmatte.http.query import TOKEN
from danmatte.http.request_keys import IDENTITY
from danmatte.http.tokens import PREFIX

SUBPROTOCOL = "danmatte"
"""The WebSocket subprotocol that a page offers together with its token; the server selects it in the handshake."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_NO_SCRIPTS = "default-src 'none'; frame-ancestors 'none'"


def require_key(keys: ApiKeys, open_paths: frozenset[str], find_scope: Callable[[web.Request], str]) -> Middleware:
    """Return a middleware that requires an API key or a token, except for `open_paths`.

    `find_scope` returns the scope that a token needs for a request. The middleware raises UnauthorizedError and
    ForbiddenError.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in open_paths:
            identity = request[IDENTITY] = keys.identify(request.headers, _find_token(request))
            if identity.scope is not None and find_scope(request) not in identity.scope:
                scope = ", ".join(sorted(identity.scope))
                raise ForbiddenError(f"the token is for {scope}, not for {brief(request.path)}")
        return await handler(request)

    return check


def _find_token(request: web.Request) -> str:
    """Return the token in the query or the WebSocket's subprotocols, empty if there is none.

    A page can't set other headers of a WebSocket handshake.
    """
    offered = (word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(","))
    return request.query.get(TOKEN, "") or next((word for word in offered if word.startswith(PREFIX)), "")


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add security headers that the handler didn't set; for `Application.on_response_prepare`."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.content_type != "text/html":  # a browser may open a mask as a document, and an SVG can contain scripts
        response.headers.setdefault("Content-Security-Policy", _NO_SCRIPTS)
