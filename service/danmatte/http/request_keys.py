"""Keys under which handlers and middlewares store data in an HTTP request, and the identity of the client."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from danmatte.http.addresses import find_network
from danmatte.telemetry.timing import Timing


@dataclass(frozen=True)
class Identity:
    """The API key or token of a request, by name; `is_valid` returns whether it is still valid, as it may be revoked.

    `scope` contains the protocols that a token is valid for; None means all of them.
    """

    name: str
    is_valid: Callable[[], bool] = lambda: True
    scope: frozenset[str] | None = None


NOBODY = Identity("")
TIMING = web.RequestKey("timing", Timing)  # set by the handler; for metrics, access log and spans
REQUEST_ID = web.RequestKey("request_id", str)  # set by the error middleware
CODE = web.RequestKey("code", str)  # code of the error; set by the error middleware
SENT_BYTES = web.RequestKey("sent_bytes", int)  # of a response that is written in pieces
PART_CODES = web.RequestKey("part_codes", list[str])  # codes of errors in a multipart response
TRACEPARENT = web.RequestKey("traceparent", str)  # of the server's span, if traces are enabled
ADDRESS = web.RequestKey("address", str)  # client's address, from a trusted proxy's headers
HOST = web.RequestKey("host", str)  # host name in the client's URL, from a trusted proxy's headers
AWAITS_CONTINUE = web.RequestKey("awaits_continue", bool)  # the client waits for `100 Continue` before its body
CLOSED_CLEANLY = web.RequestKey("closed_cleanly", bool)  # the client closed its live connection normally
IDENTITY = web.RequestKey("identity", Identity)  # API key of the request; set by `require_key`


def identify_caller(request: web.BaseRequest) -> str:
    """Return what identifies the client in quotas and fair queueing: its API key's name, or its address or network."""
    return find_identity(request).name or find_network(find_address(request))


def find_address(request: web.BaseRequest) -> str:
    """Return the client's address.

    Headers of proxies are used only if the proxy is trusted, because any client can send them.
    """
    return str(request.get(ADDRESS, "")) or request.remote or ""


def find_identity(request: web.BaseRequest) -> Identity:
    """Return the identity of the request's API key; NOBODY if keys aren't used."""
    identity: Identity = request.get(IDENTITY, NOBODY)
    return identity
