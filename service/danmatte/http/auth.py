"""Who may ask: API keys at the door, and headers that keep browsers from misusing an answer."""

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.http.api_keys import Keys
from danmatte.http.request_keys import KEY_NAME

# Whoever watches over the server needs these before anybody gave it a key.
HEALTH = frozenset({"/v2/health/live", "/v2/health/ready"})
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
_NO_SCRIPTS = "default-src 'none'; frame-ancestors 'none'"


def guard(keys: Keys, opened: frozenset[str]) -> Middleware:
    """Lets in who has a key, and everybody to the paths of `opened`; raises UnauthorizedError."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in opened:
            request[KEY_NAME] = keys.name(request.headers)
        return await handler(request)

    return guarded


async def harden(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers where a handler set none of its own; for `Application.on_response_prepare`."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if response.content_type != "text/html":  # a mask opened as a document of its own, an SVG above all
        response.headers.setdefault("Content-Security-Policy", _NO_SCRIPTS)
