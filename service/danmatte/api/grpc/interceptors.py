"""Authentication of gRPC calls by their metadata, before any of their messages is received.

gRPC receives the whole message of a unary call before it calls the handler. Without this, unauthenticated clients could
make the server hold 16 MiB for each call.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from danmatte.api.grpc.call_context import IDENTITY, Calls, read_metadata
from danmatte.api.grpc.service import Service
from danmatte.errors import ForbiddenError, ServiceError, UnauthorizedError
from danmatte.http.api_keys import ApiKeys

# The name for unknown methods, as in gRPC's own telemetry; otherwise any client could choose the names of spans.
_OTHER: Final = "/inference.GRPCInferenceService/other"


class AuthInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc] # the library has no types
    """Requires an API key or a token for `scope`, except for the services' public methods."""

    def __init__(self, calls: Calls, keys: ApiKeys, scope: str) -> None:
        self._calls, self._keys, self._scope = calls, keys, scope
        self._public = {f"/{kind.name}/{method}" for kind in Service.registered.values() for method in kind.public}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Return the call's handler, or one that refuses the call."""
        handler = await continuation(details)
        if details.method in self._public:
            return handler
        try:
            identity = self._keys.identify(read_metadata(details.invocation_metadata))
            if identity.scope is not None and self._scope not in identity.scope:
                raise ForbiddenError(f"the token is for {', '.join(sorted(identity.scope))}, not for {self._scope}")
            IDENTITY.set(identity)
        except (UnauthorizedError, ForbiddenError) as error:
            return self._refuse(details.method if handler else _OTHER, error)
        return handler

    def _refuse(self, path: str, reason: ServiceError) -> grpc.RpcMethodHandler:
        async def refuse(unread: Any, library: Any) -> None:
            async with self._calls.answer(library, path, known=False):
                raise reason

        # A streaming handler, because a unary one would receive the whole message before it runs.
        return grpc.stream_unary_rpc_method_handler(refuse)
