"""Authentication by API keys and tokens, and headers that keep browsers from misusing an answer."""

from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import ForbiddenError, brief
from danmatte.http.api_keys import ApiKeys
from danmatte.http.query import TOKEN
from danmatte.http.request_keys import IDENTITY
from danmatte.http.tokens import PREFIX

SUBPROTOCOL = "danmatte"
"""What a WebSocket of a page offers beside its token, and is answered."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_NO_SCRIPTS = "default-src 'none'; frame-ancestors 'none'"


def require_key(keys: ApiKeys, open_paths: frozenset[str], find_scope: Callable[[web.Request], str]) -> Middleware:
    """A middleware that requires an API key or a token, except for `open_paths`.

    `find_scope` is the word that a token's scope must have for a request. Raises UnauthorizedError and ForbiddenError.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in open_paths:
            identity = request[IDENTITY] = keys.identify(request.headers, _find_token(request))
            if identity.scope is not None and find_scope(request) not in identity.scope:
                scope = ", ".join(sorted(identity.scope))
                raise ForbiddenError(f"the token is for {scope}, and not for {brief(request.path)}")
        return await handler(request)

    return check


def _find_token(request: web.Request) -> str:
    """A token in the query, or among a WebSocket's subprotocols: browsers let a page choose nothing else there."""
    offered = (word.strip() for word in request.headers.get("Sec-WebSocket-Protocol", "").split(","))
    return request.query.get(TOKEN, "") or next((word for word in offered if word.startswith(PREFIX)), "")


async def add_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers where a handler set none of its own; for `Application.on_response_prepare`."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.content_type != "text/html":  # a mask opened as a document of its own, an SVG above all
        response.headers.setdefault("Content-Security-Policy", _NO_SCRIPTS)
