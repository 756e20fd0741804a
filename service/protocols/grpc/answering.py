"""What every gRPC call has in common: who asks, what errors become, what is counted."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import grpc

from service.errors import DeadlineError, EngineError, ServiceError
from service.keys import Keys
from service.metrics import Metrics, Timing

log = logging.getLogger(__name__)
_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True)
class Desk:
    """Lets callers in and sees them out; `keys` is None where none are used."""

    metrics: Metrics
    keys: Keys | None = None

    def caller(self, context: Any) -> str:
        """The name of the key the call came with, or its address; raises UnauthorizedError."""
        if self.keys:
            return self.keys.name({name: str(value) for name, value in context.invocation_metadata() or ()})
        return str(context.peer()).partition(":")[2].rpartition(":")[0]

    @asynccontextmanager
    async def answering(self, context: Any, timing: Timing | None = None) -> AsyncIterator[None]:
        """Counts the block as an answer; an error in it ends the call with its gRPC status."""
        began, status = time.perf_counter(), int(HTTPStatus.OK)
        try:
            yield
        except asyncio.CancelledError:
            status = 0
            self.metrics.left("grpc")
            raise
        except ServiceError as error:
            status = error.status
            self.metrics.rejected(error.code)
            await context.abort(code_of(error), str(error))
        except Exception:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            log.exception("a call failed")
            await context.abort(grpc.StatusCode.INTERNAL, "an error of the server's own; see its log")
        finally:
            if status:
                self.metrics.answered("grpc", status, timing, time.perf_counter() - began)


def code_of(error: ServiceError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    if isinstance(error, DeadlineError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, EngineError):
        return grpc.StatusCode.INTERNAL
    return _CODES.get(HTTPStatus(error.status), grpc.StatusCode.INVALID_ARGUMENT)
