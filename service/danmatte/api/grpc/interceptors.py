"""Who is let in: told by what a call carries along, before any of its message is taken."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import Any, Final

import grpc

from danmatte.api.grpc.calls import KEY_NAME, Desk, carried
from danmatte.api.grpc.limits import Seats
from danmatte.api.grpc.messages import Garbled
from danmatte.errors import QueueFullError, UnauthorizedError
from danmatte.http.api_keys import Keys

# Whoever watches over the server needs these before anybody gave it a key.
OPEN: Final = frozenset(
    {
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    }
)
# What gRPC's own telemetry calls a method that isn't there: strangers name no spans.
_OTHER: Final = "other"
# Open calls' messages are a few bytes, and come with the call.
_PROMPT_S: Final = 2.0
_LOBBY: Final = 32  # less than the calls that gRPC takes beside those with places


class Door(grpc.aio.ServerInterceptor):  # type: ignore[misc] # the library has no types
    """Lets in who has a key, and everybody to the calls of `OPEN`."""

    def __init__(self, desk: Desk, keys: Keys) -> None:
        self._desk, self._keys = desk, keys

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """The call's handler, or one that refuses it."""
        handler = await continuation(details)
        if details.method in OPEN:
            return handler
        try:
            KEY_NAME.set(self._keys.name(carried(details.invocation_metadata)))
        except UnauthorizedError as error:
            return self._refusing(details.method.rpartition("/")[2] if handler else _OTHER, error)
        return handler

    def _refusing(self, method: str, error: UnauthorizedError) -> grpc.RpcMethodHandler:
        async def refuse(unread: Any, context: Any) -> None:
            async with self._desk.ending(context, method):
                raise error

        # Of a stream nothing is received until it is asked for; a unary handler gets the whole message first.
        return grpc.stream_unary_rpc_method_handler(refuse)


class Lobby:
    """Where calls that need no key wait for their one message: few at once, and not for long, as they hold memory."""

    def __init__(self) -> None:
        self._seats = Seats(_LOBBY, "calls without a key")

    async def request(self, requests: AsyncIterable[Any], context: Any) -> Any:
        """The message; ends the call when it doesn't come, or isn't one."""
        try:
            with self._seats.taken():
                async with asyncio.timeout(_PROMPT_S):
                    found = await anext(aiter(requests))
        except QueueFullError as error:
            return await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except (StopAsyncIteration, TimeoutError):
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"expected a message within {_PROMPT_S:g} s")
        if isinstance(found, Garbled):
            return await context.abort(grpc.StatusCode.INVALID_ARGUMENT, found.why)
        return found
