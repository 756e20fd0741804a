"""What every gRPC call has in common: who asks, what errors become, what is written down."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import grpc

from danmatte.errors import DeadlineError, EngineError, ServiceError
from danmatte.http.errors import identity, traceparent
from danmatte.http.telemetry import LEFT, Observers
from danmatte.telemetry.metrics import Timing

log = logging.getLogger(__name__)
# Whose key the call came with: told by the door, where keys are used.
KEY_NAME: Final = ContextVar[str]("key_name")
_SERVICE: Final = "/inference.GRPCInferenceService"
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


@dataclass
class Call:
    """A call, or a request of a stream: its method, what it carried along, and what is known at its end."""

    method: str
    metadata: dict[str, str]
    timing: Timing = field(default_factory=Timing)
    caller: str = ""
    status: int = int(HTTPStatus.OK)
    code: str = ""

    def __post_init__(self) -> None:
        self.request_id = identity(self.metadata.get("x-request-id", ""))
        self.traceparent = traceparent(self.metadata)
        self.began = time.perf_counter()


@dataclass(frozen=True)
class Desk:
    """Knows callers and sees them out; where keys are used, callers come through the door."""

    observers: Observers
    keyed: bool = False

    def caller(self, context: Any) -> str:
        """The name of the key the call came with, or its address; raises LookupError when no door told the name."""
        if self.keyed:
            return KEY_NAME.get()
        return str(context.peer()).partition(":")[2].rpartition(":")[0]

    @asynccontextmanager
    async def answering(self, context: Any, method: str) -> AsyncIterator[Call]:
        """Writes the block down as an answer to a caller; an error in it ends the call with its gRPC status."""
        async with self.ending(context, method) as call:
            call.caller = self.caller(context)
            yield call

    @asynccontextmanager
    async def ending(self, context: Any, method: str) -> AsyncIterator[Call]:
        """The same, whoever asked."""
        try:
            with self.observed(context, method) as call:
                context.set_trailing_metadata((("x-request-id", call.request_id),))
                yield call
        except ServiceError as error:
            await context.abort(code_of(error), str(error))
        except Exception:
            log.exception("%s failed", method)
            await context.abort(grpc.StatusCode.INTERNAL, "an error of the server's own; see its log")

    @contextmanager
    def observed(self, context: Any, method: str, caller: str = "") -> Iterator[Call]:
        """Counts, logs and traces the block, however it ends."""
        call = Call(method, carried(context.invocation_metadata()), caller=caller)
        traces = self.observers.traces
        state = call.metadata.get("tracestate", "")
        trace = traces.begin(f"{_SERVICE}/{method}", call.traceparent, state) if traces else None
        if trace:
            call.traceparent = trace.traceparent
        try:
            yield call
        except (asyncio.CancelledError, GeneratorExit):
            call.status = LEFT
            raise
        except ServiceError as error:
            call.status, call.code = error.status, error.code
            raise
        except Exception:
            call.status, call.code = int(HTTPStatus.INTERNAL_SERVER_ERROR), ServiceError.code
            raise
        finally:
            self._write_down(call)
            if trace:
                trace.end(call.timing, _attributes(call), failed=call.status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    def _write_down(self, call: Call) -> None:
        total_s, metrics = time.perf_counter() - call.began, self.observers.metrics
        if call.status == LEFT:
            metrics.left("grpc")
        else:
            metrics.answered("grpc", call.status, call.timing, total_s)
        if call.code:
            metrics.rejected(call.code)
        if self.observers.lines:
            self.observers.lines.write(_line(call, total_s))


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    if isinstance(error, DeadlineError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, EngineError):
        return grpc.StatusCode.INTERNAL
    return _CODES.get(HTTPStatus(error.status), grpc.StatusCode.INVALID_ARGUMENT)


def carried(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """What a call carries along, by name."""
    return {name: str(value) for name, value in metadata or ()}


def _line(call: Call, total_s: float) -> dict[str, object]:
    """As that of an HTTP request, with the status that the same error has there."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": call.request_id,
        "caller": call.caller,
        "method": "gRPC",
        "path": f"{_SERVICE}/{call.method}",
        "protocol": "grpc",
        "status": call.status,
        "code": call.code,
        "total_ms": round(total_s * 1e3, 2),
        **{f"{name}_ms": round(ms, 2) for name, ms in call.timing.phases_ms.items()},
        "traceparent": call.traceparent,
    }


def _attributes(call: Call) -> dict[str, str | int]:
    return {
        "rpc.system": "grpc",
        "rpc.method": call.method,
        "http.response.status_code": call.status,
        "matting.protocol": "grpc",
    }
