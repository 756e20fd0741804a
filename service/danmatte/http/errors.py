"""What every answer carries: the one shape of an error, a request id, the caller's trace."""

import logging
import random
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from danmatte.errors import OverloadError, RequestError, ServiceError, UnauthorizedError, brief
from danmatte.http.request_keys import CODE, REQUEST_ID, TRACEPARENT

log = logging.getLogger(__name__)

_UNTOLD = "an error of the server's own; see its log"
_chance = random.Random()  # seeded by the system; an id is no secret
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# W3C Trace Context: version 00, and neither of the ids all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever is raised into the one JSON shape, the framework's own errors included; wants `identify`."""
    request_id = request[REQUEST_ID] = identity(request.headers.get("X-Request-Id", ""))
    try:
        _check_text(request)
        response = await handler(request)
    except ServiceError as error:
        response = refusal(request, str(error), error.code, error.status)
        response.headers.update(retry_after(error))
        if isinstance(error, UnauthorizedError):
            response.headers["WWW-Authenticate"] = "Bearer"
    except web.HTTPException as error:
        response = translated(request, error)
    except Exception:
        log.exception("request %s failed", request_id)
        response = refusal(request, _UNTOLD, "internal_error", 500)
    return response


async def identify(request: web.Request, response: web.StreamResponse) -> None:
    """The request's id and trace, also on answers that begin within their handler; for `on_response_prepare`."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    trace = request.get(TRACEPARENT) or traceparent(request.headers)
    if trace:
        response.headers["traceparent"] = trace


def identity(given: str) -> str:
    """The id a caller gave, or one of our own when it is none."""
    return given if _REQUEST_ID.fullmatch(given) else f"{_chance.getrandbits(128):032x}"


def traceparent(headers: Mapping[str, str]) -> str:
    """The caller's trace, or nothing when it is malformed (W3C Trace Context)."""
    given = headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""


def _check_text(request: web.Request) -> None:
    """Refuses headers that no message could repeat: aiohttp fails on its own where it tries to."""
    try:
        "".join(request.headers.values()).encode()
    except UnicodeEncodeError as error:
        raise RequestError("headers: expected UTF-8") from error


def refusal(request: web.BaseRequest, message: str, code: str, status: int) -> web.Response:
    """An error in the one shape; its code stays in the request, for whoever counts them."""
    request[CODE] = code
    return web.json_response(_shape(request, message, code, status), status=status)


def retry_after(error: Exception) -> dict[str, str]:
    """The header that says when to come back, where it makes sense (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, OverloadError) else {}


def told(request: web.BaseRequest, error: Exception) -> dict[str, Any]:
    """The one shape, for an error within an answer; one that isn't the service's own is logged, and not told."""
    if isinstance(error, ServiceError):
        return _shape(request, str(error), error.code, error.status)
    log.error("request %s failed", request[REQUEST_ID], exc_info=error)
    return _shape(request, _UNTOLD, "internal_error", 500)


def _shape(request: web.BaseRequest, message: str, code: str, status: int) -> dict[str, Any]:
    return {"error": message, "code": code, "status": status, "request_id": request[REQUEST_ID]}


def translated(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """The framework's own error in the one shape."""
    code = error.reason.lower().replace(" ", "_")
    message = f"{request.method} {brief(request.path)}: {error.reason}"
    response = refusal(request, message, code, error.status)
    response.headers.update({name: error.headers[name] for name in ("Allow", "Location") if name in error.headers})
    return response
