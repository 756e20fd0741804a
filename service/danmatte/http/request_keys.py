"""What handlers and middlewares keep in an HTTP request for each other, and who its caller is."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from danmatte.http.addresses import find_network
from danmatte.telemetry.timing import Timing


@dataclass(frozen=True)
class Identity:
    """Whose key a request came with; `is_valid` tells whether that still counts, which may change meanwhile.

    `scope` are the protocols that a token is for; None is all of them.
    """

    name: str
    is_valid: Callable[[], bool] = lambda: True
    scope: frozenset[str] | None = None


NOBODY = Identity("")
TIMING = web.RequestKey("timing", Timing)  # by the handler, for counters, log and spans
REQUEST_ID = web.RequestKey("request_id", str)  # by the error middleware
CODE = web.RequestKey("code", str)  # the error's, by the error middleware
SENT_BYTES = web.RequestKey("sent_bytes", int)  # of an answer that is written piece by piece
PART_CODES = web.RequestKey("part_codes", list[str])  # of errors within an answer of several parts
TRACEPARENT = web.RequestKey("traceparent", str)  # of our own span, where traces are made
ADDRESS = web.RequestKey("address", str)  # where it came from, by what trusted proxies say
HOST = web.RequestKey("host", str)  # the server's name in the caller's URL, by the same
AWAITS_CONTINUE = web.RequestKey("awaits_continue", bool)  # the body isn't sent before we ask for it
CLOSED_CLEANLY = web.RequestKey("closed_cleanly", bool)  # a live connection, by the caller, as it should be
IDENTITY = web.RequestKey("identity", Identity)  # whose API key it came with, by `require_key`


def identify_caller(request: web.BaseRequest) -> str:
    """The name of the caller's API key, or its address, in IPv6 the network of that: what fairness goes by."""
    return find_identity(request).name or find_network(find_address(request))


def find_address(request: web.BaseRequest) -> str:
    """Where a request came from.

    Headers of proxies count only where those are trusted, as anybody may write them.
    """
    return str(request.get(ADDRESS, "")) or request.remote or ""


def find_identity(request: web.BaseRequest) -> Identity:
    """Whose key a request came with; nobody's where keys aren't used."""
    identity: Identity = request.get(IDENTITY, NOBODY)
    return identity
