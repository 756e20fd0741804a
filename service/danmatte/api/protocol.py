"""The base class of HTTP protocols. To add one, write a module, and add its class to `api.protocols`.

gRPC services have their own base class in `api.grpc.service`.
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
    """The objects that all HTTP protocols of a server share."""

    requests: Requests
    settings: Settings
    metrics: Metrics


class HttpProtocol(ABC):
    """A protocol: its routes, their OpenAPI description, and their names in metrics."""

    tag: ClassVar[tuple[str, str]]
    """Name and description of its tag in the OpenAPI document."""

    prefixes: ClassVar[tuple[tuple[str, str], ...]]
    """Prefixes of paths, each with its name in metrics and the access log; the longest matching prefix wins."""

    public: ClassVar[frozenset[str]] = frozenset()
    """Paths that need no API key, such as health checks."""

    def __init__(self, shared: Shared) -> None:
        self._requests, self._settings, self._metrics = shared.requests, shared.settings, shared.metrics

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return the routes, for `Application.add_routes`."""

    @classmethod
    @abstractmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """Return the OpenAPI path items by path; `models` are example names, the default one first."""

    def attach(self, app: web.Application) -> None:
        """Add the routes to an application; subclasses may also add background tasks."""
        app.add_routes([defer_body(route) for route in self.routes()])


def defer_body(route: web.RouteDef) -> web.RouteDef:
    """Return the same route, but with `100 Continue` deferred until the key and the length are checked."""
    return web.RouteDef(route.method, route.path, route.handler, {**route.kwargs, "expect_handler": defer_continue})
