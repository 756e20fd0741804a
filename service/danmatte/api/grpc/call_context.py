"""What all gRPC calls have in common: identification of the client, status of errors, access log and metrics."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import grpc

from danmatte.errors import DeadlineError, EngineError, ServiceError
from danmatte.http.addresses import find_network
from danmatte.http.errors import choose_request_id, read_traceparent
from danmatte.http.forwarded import LISTS, TrustedProxies
from danmatte.http.request_keys import NOBODY, Identity
from danmatte.http.telemetry import LEFT, Observers, describe_version
from danmatte.telemetry.metrics import NO_TRAFFIC, Traffic
from danmatte.telemetry.timing import Timing

log = logging.getLogger(__name__)
# Identity of the call's API key; set by the interceptor if keys are used.
IDENTITY: Final = ContextVar[Identity]("identity")
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


@dataclass
class CallContext:
    """A call, or a request of a stream: its method, its metadata, and what is recorded at its end.

    `caller` identifies the client for fair queueing and quotas; `address` is the client's address.
    """

    path: str
    library: Any = field(repr=False)  # gRPC's ServicerContext, which has no type annotations
    metadata: dict[str, str]
    caller: str = ""
    address: str = ""
    identity: Identity = NOBODY
    timing: Timing = field(default_factory=Timing)
    status: int = int(HTTPStatus.OK)
    code: str = ""
    traffic: Traffic = NO_TRAFFIC

    def __post_init__(self) -> None:
        self.request_id = choose_request_id(self.metadata.get("x-request-id", ""))
        self.traceparent = read_traceparent(self.metadata)
        self.began = time.perf_counter()

    @property
    def remaining_s(self) -> float | None:
        """The seconds until the call's deadline, None if it has none."""
        left_s: float | None = self.library.time_remaining()
        return left_s

    def branch(self, name: str) -> "CallContext":
        """Return a context for one request of a stream."""
        return replace(self, path=f"{self.path}/{name}", timing=Timing(), traffic=NO_TRAFFIC)


@dataclass(frozen=True)
class Calls:
    """Creates the contexts of calls, and records the calls. If `keyed` is set, clients are identified by API keys."""

    observers: Observers
    proxies: TrustedProxies
    keyed: bool = False

    @asynccontextmanager
    async def answer(self, library: Any, path: str, *, known: bool = True) -> AsyncIterator[CallContext]:
        """Handle a call in the block, and record it; an exception ends the call with its gRPC status.

        `known` is False for a client that isn't authenticated and is refused.
        """
        call = CallContext(path, library, read_metadata(library.invocation_metadata()))
        try:
            with self.observe(call):
                library.set_trailing_metadata((("x-request-id", call.request_id),))
                if known:
                    peer = unquote(str(library.peer())).partition(":")[2].rpartition(":")[0].strip("[]")
                    call.address = self.proxies.find_address(peer, call.metadata)
                    call.identity = IDENTITY.get() if self.keyed else NOBODY
                    call.caller = call.identity.name or find_network(call.address)
                yield call
        except ServiceError as error:
            await library.abort(choose_status(error), str(error))
        except Exception:
            log.exception("%s failed", path)
            await library.abort(grpc.StatusCode.INTERNAL, "internal server error; see the server's log")

    @contextmanager
    def observe(self, call: CallContext) -> Iterator[CallContext]:
        """Count, log and trace the block, whether it succeeds or fails."""
        traces = self.observers.traces
        state = call.metadata.get("tracestate", "")
        trace = traces.begin(call.path, call.traceparent, state) if traces else None
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
            self._record(call)
            if trace:
                attributes: dict[str, str | int] = {
                    **describe_version(call.timing),
                    "rpc.system": "grpc",
                    "rpc.method": call.path.split("/", 2)[2],
                    "http.response.status_code": call.status,
                    "matting.protocol": "grpc",
                }
                trace.end(call.timing, attributes, failed=call.status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    def _record(self, call: CallContext) -> None:
        """Record the call in metrics and access log, with the status that the same error has over HTTP."""
        total_s, metrics = time.perf_counter() - call.began, self.observers.metrics
        if call.status == LEFT:
            metrics.count_left("grpc")
        else:
            metrics.count_answer("grpc", call.status, call.timing, total_s, call.traffic)
        if call.code:
            metrics.count_rejection(call.code)
        if self.observers.lines:
            line = {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "request_id": call.request_id,
                "caller": call.identity.name or call.address,
                "method": "gRPC",
                "path": call.path,
                "protocol": "grpc",
                "status": call.status,
                "code": call.code,
                **describe_version(call.timing),
                "received_bytes": call.traffic.received,
                "sent_bytes": call.traffic.sent,
                "total_ms": round(total_s * 1e3, 2),
                **{f"{name}_ms": round(ms, 2) for name, ms in call.timing.phases_ms.items()},
                "traceparent": call.traceparent,
            }
            self.observers.lines.write(line)


def choose_status(error: ServiceError) -> grpc.StatusCode:
    """Return the gRPC status of an error."""
    if isinstance(error, DeadlineError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, EngineError):
        return grpc.StatusCode.INTERNAL
    return _CODES.get(HTTPStatus(error.status), grpc.StatusCode.INVALID_ARGUMENT)


def read_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """Return a call's metadata by name; repeated lists of proxies (`LISTS`) are joined by commas."""
    found = dict[str, str]()
    for name, value in metadata or ():
        text = str(value)
        found[name] = f"{found[name]}, {text}" if name in found and name in LISTS else text
    return found
