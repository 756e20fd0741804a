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

_NOT_DISCLOSED = "an error of the server's own; see its log"
_chance = random.Random()  # seeded by the system; an id is no secret
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# W3C Trace Context: version 00, and neither of the ids all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class CallerLeftError(ConnectionResetError):
    """Nobody is there any more to read the rest of an answer, or its room was needed; there is nobody to tell."""


@web.middleware
async def catch_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever is raised into the one JSON shape, aiohttp's own errors included; wants `add_request_id`."""
    request_id = request[REQUEST_ID] = choose_request_id(request.headers.get("X-Request-Id", ""))
    try:
        try:
            "".join(request.headers.values()).encode()
        except UnicodeEncodeError as error:  # aiohttp fails later, with a 500, where a message repeats such a header
            raise RequestError("headers: expected UTF-8") from error
        return await handler(request)
    except ServiceError as error:
        response = refuse(request, str(error), error.code, error.status)
        response.headers.update(build_retry_headers(error))
        if isinstance(error, UnauthorizedError):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    except web.HTTPException as error:
        return translate(request, error)
    except CallerLeftError:
        raise
    except Exception:
        log.exception("request %s failed", request_id)
        return refuse(request, _NOT_DISCLOSED, "internal_error", 500)


async def add_request_id(request: web.Request, response: web.StreamResponse) -> None:
    """The request's id and trace, also on answers that begin within their handler; for `on_response_prepare`."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    trace = request.get(TRACEPARENT) or read_traceparent(request.headers)
    if trace:
        response.headers["traceparent"] = trace


def choose_request_id(given: str) -> str:
    """The id a caller gave, or one of our own when it is none."""
    return given if _REQUEST_ID.fullmatch(given) else f"{_chance.getrandbits(128):032x}"


def read_traceparent(headers: Mapping[str, str]) -> str:
    """The caller's trace, or nothing when it is malformed (W3C Trace Context)."""
    given = headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""


def refuse(request: web.BaseRequest, message: str, code: str, status: int) -> web.Response:
    """An error in the one shape; its code stays in the request, for whoever counts them."""
    request[CODE] = code
    return web.json_response(_shape_error(request, message, code, status), status=status)


def translate(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """aiohttp's own error in the one shape."""
    code = error.reason.lower().replace(" ", "_")
    message = f"{request.method} {brief(request.path)}: {error.reason}"
    response = refuse(request, message, code, error.status)
    response.headers.update({name: error.headers[name] for name in ("Allow", "Location") if name in error.headers})
    return response


def describe_error(request: web.BaseRequest, error: Exception) -> dict[str, Any]:
    """The one shape, for an error within an answer; one that isn't the service's own is logged, not disclosed."""
    if isinstance(error, ServiceError):
        return _shape_error(request, str(error), error.code, error.status)
    log.error("request %s failed", request[REQUEST_ID], exc_info=error)
    return _shape_error(request, _NOT_DISCLOSED, "internal_error", 500)


def build_retry_headers(error: Exception) -> dict[str, str]:
    """The header that says when to come back, where it makes sense (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, OverloadError) else {}


def _shape_error(request: web.BaseRequest, message: str, code: str, status: int) -> dict[str, Any]:
    return {"error": message, "code": code, "status": status, "request_id": request[REQUEST_ID]}
