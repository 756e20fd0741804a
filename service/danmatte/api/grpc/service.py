"""The base class of gRPC services.

To add one, put a module with its `.proto` and `.binpb` into `services`, and import it in `services/__init__.py`.
"""

import asyncio
import re
from abc import ABC
from collections.abc import AsyncIterable, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import grpc

from danmatte.api.grpc.call_context import Calls, choose_status
from danmatte.api.grpc.limits import CapacityLimiter
from danmatte.api.grpc.messages import MalformedMessage, build_reader, message, pool
from danmatte.errors import BodyError, BodyTimeoutError, ServiceError
from danmatte.inference.request import Requests
from danmatte.settings import Settings
from danmatte.telemetry.metrics import Traffic

# Timeout for messages of calls without a key, which are a few bytes long and sent together with the call.
_PROMPT_S: Final = 2.0
_MAX_PUBLIC_CALLS: Final = 32  # less than the calls without a place in the queue that the server allows


class PublicCalls:
    """Receives the messages of calls that need no key; limits their number and time, because they use memory."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_MAX_PUBLIC_CALLS, "calls without a key")

    async def receive(self, requests: AsyncIterable[Any]) -> Any:
        """Receive the message of a call; raises BodyTimeoutError, BodyError if it is malformed, and QueueFullError."""
        with self._limiter.take():
            request = await receive_one(requests, _PROMPT_S)
        if isinstance(request, MalformedMessage):
            raise BodyError(request.reason)
        return request


async def receive_one(messages: AsyncIterable[Any], wait_s: float) -> Any:
    """Receive the only message of a call; raises BodyError if there is none, and BodyTimeoutError."""
    try:
        async with asyncio.timeout(wait_s):
            return await anext(aiter(messages))
    except StopAsyncIteration as error:
        raise BodyError("expected a message, received none") from error
    except TimeoutError as error:
        raise BodyTimeoutError(f"message: expected within {wait_s:g} s") from error


@dataclass(frozen=True)
class ServiceParts:
    """The objects that all services of a server share.

    `changed` is called when models may have changed; it is None if this server can't change them.
    """

    requests: Requests
    calls: Calls
    settings: Settings
    changed: Callable[[], None] | None = None
    public: PublicCalls = field(default_factory=PublicCalls)


class Service(ABC):
    """A service of the `.proto` files; subclasses are registered when they are defined.

    A subclass implements each method of the service under its name in snake case. A method takes the request message
    (an iterator of messages for a client stream) and the CallContext (None for methods in `public`), and returns the
    response message (yields messages for a server stream). An exception ends the call with its status.
    """

    name: ClassVar[str]
    """Full name of the service, including its package."""

    public: ClassVar[frozenset[str]] = frozenset()
    """Methods that need no API key, such as health checks, by their names in the `.proto` file."""

    placed: ClassVar[frozenset[str]] = frozenset()
    """Unary methods whose calls take a place in the queue; their Request is passed as an additional argument.

    The place is taken before the message is received, and released when the whole response is sent.
    """

    registered: ClassVar[dict[str, type["Service"]]] = {}

    def __init_subclass__(cls) -> None:
        Service.registered[cls.name] = cls

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts

    @property
    def lasting_calls(self) -> int:
        """Maximum number of open calls that don't take a place in the queue."""
        return 0

    def build_handlers(self) -> grpc.GenericRpcHandler:
        """Build gRPC's handlers of the service's methods."""
        table = {method.name: self._build_handler(method) for method in pool().FindServiceByName(self.name).methods}
        return grpc.method_handlers_generic_handler(self.name, table)

    def _build_handler(self, method: Any) -> grpc.RpcMethodHandler:
        answer = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        is_public, is_placed = method.name in self.public, method.name in self.placed
        wrap = self._wrap_public if is_public else self._wrap_placed if is_placed else self._wrap
        # Register unary methods as streams where memory has to be limited: a stream's messages are received only when
        # they are read, and a write to it waits for the client's flow-control window.
        streams_in = method.client_streaming or is_public or is_placed
        streams_out = method.server_streaming or is_placed
        kinds = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }
        return kinds[streams_in, streams_out](
            wrap(answer, f"/{self.name}/{method.name}", streams=streams_out),
            request_deserializer=build_reader(method.input_type.full_name),
            response_serializer=message(method.output_type.full_name).SerializeToString,
        )

    def _wrap(self, answer: Any, path: str, *, streams: bool) -> Any:
        """Wrap a method with a context for the call."""
        calls = self._parts.calls

        async def answer_once(request: Any, library: Any) -> Any:
            async with calls.answer(library, path) as call:
                return await answer(request, call)

        async def answer_stream(requests: Any, library: Any) -> AsyncIterator[Any]:
            async with calls.answer(library, path) as call:
                async for each in answer(requests, call):
                    yield each

        return answer_stream if streams else answer_once

    def _wrap_placed(self, answer: Any, path: str, *, streams: bool) -> Any:
        """Wrap a method with a context and a place in the queue for the call."""
        calls, requests, upload_s = self._parts.calls, self._parts.requests, self._parts.settings.upload_s

        async def answer_in_place(messages: AsyncIterable[Any], library: Any) -> None:
            async with calls.answer(library, path) as call, requests.open(call.caller) as held:

                async def read_and_answer() -> Any:
                    # A separate function, so that the message is freed before the response is sent.
                    request = await receive_one(messages, upload_s)
                    size = request.ByteSize()
                    call.traffic = Traffic(size)
                    held.hold(size)
                    answered = await answer(request, call, held)
                    held.release(size)
                    return answered

                answered = await read_and_answer()
                call.traffic = call.traffic._replace(sent=answered.ByteSize())
                held.hold(call.traffic.sent)
                task = asyncio.current_task()
                with held.send(lambda: task and task.cancel()):
                    await library.write(answered)

        return answer_in_place

    def _wrap_public(self, answer: Any, path: str, *, streams: bool) -> Any:
        """Wrap a method that needs no key; its message is received by `PublicCalls`, and the call isn't recorded."""
        public = self._parts.public

        async def answer_once(requests: Any, library: Any) -> Any:
            try:
                return await answer(await public.receive(requests), None)
            except ServiceError as error:
                await library.abort(choose_status(error), str(error))

        async def answer_stream(requests: Any, library: Any) -> AsyncIterator[Any]:
            try:
                async for each in answer(await public.receive(requests), None):
                    yield each
            except ServiceError as error:
                await library.abort(choose_status(error), str(error))

        return answer_stream if streams else answer_once
