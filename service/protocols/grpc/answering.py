"""What every gRPC call has in common: who asks, what errors become, what is written down."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

import grpc

from service.errors import DeadlineError, EngineError, ServiceError
from service.keys import Keys
from service.metrics import Timing
from service.protocols.envelope import identity, traceparent
from service.protocols.observation import LEFT, Observers

log = logging.getLogger(__name__)
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
    """Lets callers in and sees them out; `keys` is None where none are used."""

    observers: Observers
    keys: Keys | None = None

    def caller(self, context: Any) -> str:
        """The name of the key the call came with, or its address; raises UnauthorizedError."""
        if self.keys:
            return self.keys.name(_metadata(context))
        return str(context.peer()).partition(":")[2].rpartition(":")[0]

    @asynccontextmanager
    async def answering(self, context: Any, method: str) -> AsyncIterator[Call]:
        """Writes the block down as an answer; an error in it ends the call with its gRPC status."""
        try:
            with self.observed(context, method) as call:
                context.set_trailing_metadata((("x-request-id", call.request_id),))
                call.caller = self.caller(context)
                yield call
        except ServiceError as error:
            await context.abort(code_of(error), str(error))
        except Exception:
            log.exception("%s failed", method)
            await context.abort(grpc.StatusCode.INTERNAL, "an error of the server's own; see its log")

    @contextmanager
    def observed(self, context: Any, method: str, caller: str = "") -> Iterator[Call]:
        """Counts, logs and traces the block, however it ends."""
        call = Call(method, _metadata(context), caller=caller)
        traces = self.observers.traces
        trace = traces.begin(f"{_SERVICE}/{method}", call.traceparent) if traces else None
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


def _metadata(context: Any) -> dict[str, str]:
    return {name: str(value) for name, value in context.invocation_metadata() or ()}


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
