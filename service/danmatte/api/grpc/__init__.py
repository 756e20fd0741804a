"""The gRPC server: the Open Inference Protocol with Triton's extensions, TensorFlow Serving, health and reflection.

It needs the optional extra `grpc`.
"""

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from danmatte.errors import MissingExtraError
from danmatte.http.api_keys import ApiKeys
from danmatte.http.telemetry import Observers
from danmatte.inference.request import Requests
from danmatte.settings import Settings

if TYPE_CHECKING:
    from danmatte.api.grpc.server import Server


def serve_beside(
    requests: Requests,
    settings: Settings,
    *,
    observers: Observers,
    keys: ApiKeys | None,
    changed: Callable[[], None] | None = None,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context for `Application.cleanup_ctx` that runs a gRPC server while the application runs.

    With `changed`, it is the admin server, which can load and unload models. Raises MissingExtraError if gRPC isn't
    installed.
    """
    server_class = import_server()

    async def run(app: web.Application) -> AsyncIterator[None]:
        server = server_class(requests, settings, observers=observers, keys=keys, changed=changed)
        await server.start()
        yield
        await server.stop()

    return run


def import_server() -> "type[Server]":
    """Import the server class; raises MissingExtraError if gRPC isn't installed."""
    try:
        from danmatte.api.grpc.server import Server
    except ImportError as error:
        raise MissingExtraError("grpc_port", "grpc", "gRPC") from error
    return Server
