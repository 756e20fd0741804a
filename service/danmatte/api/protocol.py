"""What a protocol over HTTP is. A new one is a file, and a line in `api.protocols`; the application knows none by name.

Over gRPC it is a service: `api.grpc.service`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import web

from danmatte.http.body import defer_continue
from danmatte.inference.request import Requests
from danmatte.settings import Settings
from danmatte.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Shared:
    """What the protocols of one server share."""

    requests: Requests
    settings: Settings
    metrics: Metrics


class HttpProtocol(ABC):
    """A protocol's routes, their description in OpenAPI, and the names that they are counted by."""

    tag: ClassVar[tuple[str, str]]
    """The heading of its operations in the OpenAPI document, and what it says there."""

    prefixes: ClassVar[tuple[tuple[str, str], ...]]
    """How paths begin, each with its name for metrics and the access log; the longest prefix counts."""

    public: ClassVar[frozenset[str]] = frozenset()
    """Paths that need no API key: for whoever watches over the server."""

    def __init__(self, shared: Shared) -> None:
        self._requests, self._settings, self._metrics = shared.requests, shared.settings, shared.metrics

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""

    @classmethod
    @abstractmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """The routes in OpenAPI: an item for each path; `models` are examples of names, the default one first."""

    def attach(self, app: web.Application) -> None:
        """Adds the routes to an application, and whatever lives beside them."""
        app.add_routes([defer_body(route) for route in self.routes()])


def defer_body(route: web.RouteDef) -> web.RouteDef:
    """The same route, whose body isn't asked for before its key and length are checked."""
    return web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, "expect_handler": defer_continue})
