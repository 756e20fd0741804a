"""What all responses have in common: the JSON format of errors, a request id, and the client's trace."""

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

_NOT_DISCLOSED = "internal server error; see the server's log"
_chance = random.Random()  # seeded by the system; request ids needn't be unpredictable
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# W3C Trace Context: version 00, and neither of the ids all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class CallerLeftError(ConnectionResetError):
    """The client has disconnected, or was disconnected to free memory; no error response can be sent."""


@web.middleware
async def catch_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert all exceptions, including aiohttp's, to JSON errors; requires `add_request_id`."""
    request_id = request[REQUEST_ID] = choose_request_id(request.headers.get("X-Request-Id", ""))
    try:
        try:
            "".join(request.headers.values()).encode()
        except UnicodeEncodeError as error:  # otherwise a message that quotes such a header fails later with a 500
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
    """Add the request's id and trace, also to responses that a handler streams; for `on_response_prepare`."""
    response.headers["X-Request-Id"] = request[REQUEST_ID]
    trace = request.get(TRACEPARENT) or read_traceparent(request.headers)
    if trace:
        response.headers["traceparent"] = trace


def choose_request_id(given: str) -> str:
    """Return the client's request id if it is valid, otherwise a new one."""
    return given if _REQUEST_ID.fullmatch(given) else f"{_chance.getrandbits(128):032x}"


def read_traceparent(headers: Mapping[str, str]) -> str:
    """Return the client's `traceparent`, empty if it is missing or malformed (W3C Trace Context)."""
    given = headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else ""


def refuse(request: web.BaseRequest, message: str, code: str, status: int) -> web.Response:
    """Build a JSON error response, and store its code in the request for the metrics and the access log."""
    request[CODE] = code
    return web.json_response(_shape_error(request, message, code, status), status=status)


def translate(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """Convert an aiohttp error to a JSON error response."""
    code = error.reason.lower().replace(" ", "_")
    message = f"{request.method} {brief(request.path)}: {error.reason}"
    response = refuse(request, message, code, error.status)
    response.headers.update({name: error.headers[name] for name in ("Allow", "Location") if name in error.headers})
    return response


def describe_error(request: web.BaseRequest, error: Exception) -> dict[str, Any]:
    """Return the JSON object of an error inside a response; an unexpected exception is logged, not disclosed."""
    if isinstance(error, ServiceError):
        return _shape_error(request, str(error), error.code, error.status)
    log.error("request %s failed", request[REQUEST_ID], exc_info=error)
    return _shape_error(request, _NOT_DISCLOSED, "internal_error", 500)


def build_retry_headers(error: Exception) -> dict[str, str]:
    """Return the `Retry-After` header for an overload, otherwise no header (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(error.retry_after_s)} if isinstance(error, OverloadError) else {}


def _shape_error(request: web.BaseRequest, message: str, code: str, status: int) -> dict[str, Any]:
    return {"error": message, "code": code, "status": status, "request_id": request[REQUEST_ID]}
