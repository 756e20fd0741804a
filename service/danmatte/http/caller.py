"""Who asks: the name of an API key, or an address; what fairness and the access log go by."""

from aiohttp import web

from danmatte.http.request_keys import KEY_NAME


def caller(request: web.BaseRequest) -> str:
    """The fairness key of a request; proxies' headers don't count, as anybody may write them."""
    return str(request.get(KEY_NAME, "")) or request.remote or ""
