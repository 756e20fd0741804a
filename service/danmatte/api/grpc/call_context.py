"""What every gRPC call has in common: its caller, the status of its errors, its line in log and metrics."""

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
# Whose key the call came with: written by the interceptor, where keys are used.
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
    """A call, or a request of a stream: its method, what it carried along, and what is known at its end.

    `caller` is what fairness goes by, `address` where it came from.
    """

    path: str
    library: Any = field(repr=False)  # the library's own context, which has no types
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
        """The seconds until the call's own deadline, None if it has none."""
        left_s: float | None = self.library.time_remaining()
        return left_s

    def branch(self, name: str) -> "CallContext":
        """One request of a stream, of the same caller."""
        return replace(self, path=f"{self.path}/{name}", timing=Timing(), traffic=NO_TRAFFIC)


@dataclass(frozen=True)
class Calls:
    """Opens a context for each call, and sees it to its end; where keys are used, callers are known by theirs."""

    observers: Observers
    proxies: TrustedProxies
    keyed: bool = False

    @asynccontextmanager
    async def answer(self, library: Any, path: str, *, known: bool = True) -> AsyncIterator[CallContext]:
        """The block answers a call and is written down; an error in it ends the call with its gRPC status.

        `known` is False for a stranger who is refused.
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
            await library.abort(grpc.StatusCode.INTERNAL, "an error of the server's own; see its log")

    @contextmanager
    def observe(self, call: CallContext) -> Iterator[CallContext]:
        """Counts, logs and traces the block, however it ends."""
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
            self._write_down(call)
            if trace:
                attributes: dict[str, str | int] = {
                    **describe_version(call.timing),
                    "rpc.system": "grpc",
                    "rpc.method": call.path.split("/", 2)[2],
                    "http.response.status_code": call.status,
                    "matting.protocol": "grpc",
                }
                trace.end(call.timing, attributes, failed=call.status >= HTTPStatus.INTERNAL_SERVER_ERROR)

    def _write_down(self, call: CallContext) -> None:
        """In counters and the access log, with the status that the same error has over HTTP."""
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
    """The gRPC status of an error."""
    if isinstance(error, DeadlineError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, EngineError):
        return grpc.StatusCode.INTERNAL
    return _CODES.get(HTTPStatus(error.status), grpc.StatusCode.INVALID_ARGUMENT)


def read_metadata(metadata: Iterable[tuple[str, str | bytes]] | None) -> dict[str, str]:
    """What a call carries along, by name; where proxies added lines to a list, all of them."""
    found = dict[str, str]()
    for name, value in metadata or ():
        text = str(value)
        found[name] = f"{found[name]}, {text}" if name in found and name in LISTS else text
    return found
