"""The Open Inference Protocol over gRPC, with Triton's extensions; the library comes with the extra `grpc`."""

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
    """The gRPC server's life beside the application's, for `Application.cleanup_ctx`.

    With `changed` it is the administrators' server. Raises MissingExtraError when the library isn't there.
    """
    server_class = import_server()

    async def run(app: web.Application) -> AsyncIterator[None]:
        server = server_class(requests, settings, observers=observers, keys=keys, changed=changed)
        await server.start()
        yield
        await server.stop()

    return run


def import_server() -> "type[Server]":
    """The server; raises MissingExtraError when the library isn't there."""
    try:
        from danmatte.api.grpc.server import Server
    except ImportError as error:
        raise MissingExtraError("grpc_port", "grpc", "gRPC") from error
    return Server
