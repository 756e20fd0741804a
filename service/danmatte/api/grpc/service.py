"""What a gRPC service is. A new one is a file in `services`, with its `.proto` and `.binpb`, and an import there."""

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

# Messages of calls without a key are a few bytes, and come with the call.
_PROMPT_S: Final = 2.0
_MOST_PUBLIC: Final = 32  # less than the calls that gRPC takes beside those with places


class PublicCalls:
    """Where calls that need no key wait for their one message: few at once, and not for long, as they hold memory."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_MOST_PUBLIC, "calls without a key")

    async def receive(self, requests: AsyncIterable[Any]) -> Any:
        """The message; raises BodyTimeoutError, BodyError when it isn't one, and QueueFullError."""
        with self._limiter.take():
            request = await receive_one(requests, _PROMPT_S)
        if isinstance(request, MalformedMessage):
            raise BodyError(request.reason)
        return request


async def receive_one(messages: AsyncIterable[Any], wait_s: float) -> Any:
    """The one message of a call; raises BodyError when there is none, and BodyTimeoutError when it doesn't come."""
    try:
        async with asyncio.timeout(wait_s):
            return await anext(aiter(messages))
    except StopAsyncIteration as error:
        raise BodyError("expected a message, received none") from error
    except TimeoutError as error:
        raise BodyTimeoutError(f"message: expected within {wait_s:g} s") from error


@dataclass(frozen=True)
class ServiceParts:
    """What the services of one server share.

    `changed` is called when models may have changed; it is None where nobody may change them.
    """

    requests: Requests
    calls: Calls
    settings: Settings
    changed: Callable[[], None] | None = None
    public: PublicCalls = field(default_factory=PublicCalls)


class Service(ABC):
    """A service of the `.proto` files: registered when it is defined, with a method of its own for each of theirs.

    Methods are named in snake case. They take a message, or an iterator of them where a stream is sent, and the
    CallContext, or None for a method of `public`; they return a message, or yield them where a stream is answered.
    What they raise ends the call with its status.
    """

    name: ClassVar[str]
    """The full name, with its package."""

    public: ClassVar[frozenset[str]] = frozenset()
    """The methods, by their names in the proto, that need no key: for whoever watches over the server."""

    placed: ClassVar[frozenset[str]] = frozenset()
    """The methods, each of one message and one answer, whose calls take a place; they are handed their Request, too.

    The place is taken before the message is received, and left when the answer is on its way to its last byte.
    """

    registered: ClassVar[dict[str, type["Service"]]] = {}

    def __init_subclass__(cls) -> None:
        Service.registered[cls.name] = cls

    def __init__(self, parts: ServiceParts) -> None:
        self._parts = parts

    @property
    def lasting_calls(self) -> int:
        """How many calls without a place it may keep open."""
        return 0

    def build_handlers(self) -> grpc.GenericRpcHandler:
        """The service's methods, for the library."""
        table = {method.name: self._build_handler(method) for method in pool().FindServiceByName(self.name).methods}
        return grpc.method_handlers_generic_handler(self.name, table)

    def _build_handler(self, method: Any) -> grpc.RpcMethodHandler:
        answer = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
        is_public, is_placed = method.name in self.public, method.name in self.placed
        wrap = self._wrap_public if is_public else self._wrap_placed if is_placed else self._wrap
        # Of a stream nothing is received until somebody reads it; a unary handler gets the whole message first. And
        # what a stream's handler writes is waited for, until the reader's window has taken it.
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
        """With a context for the call."""
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
        """With a context and a place for the call."""
        calls, requests, upload_s = self._parts.calls, self._parts.requests, self._parts.settings.upload_s

        async def answer_in_place(messages: AsyncIterable[Any], library: Any) -> None:
            async with calls.answer(library, path) as call, requests.open(call.caller) as held:

                async def read_and_answer() -> Any:
                    # A function of its own, so that the message is gone before the answer is on its way.
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
        """With the one message, received with care; such calls aren't written down."""
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
