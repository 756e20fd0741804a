"""What every answer carries: the one shape of an error, a request id, the caller's trace."""

import logging
import re
from uuid import uuid4

from aiohttp import web
from aiohttp.typedefs import Handler

from service.errors import OverloadError, ServiceError, brief

log = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
# W3C Trace Context: version 00, and neither of the ids all zeros.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


@web.middleware
async def envelope(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns whatever is raised into the one JSON shape, the framework's own errors included."""
    given = request.headers.get("X-Request-Id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex
    try:
        response = await handler(request)
    except ServiceError as error:
        response = _refusal(str(error), error.code, error.status, request_id)
        if isinstance(error, OverloadError):
            response.headers["Retry-After"] = str(error.retry_after_s)
    except web.HTTPException as error:
        response = _translated(request, error, request_id)
    except Exception:
        log.exception("request %s failed", request_id)
        response = _refusal("an error of the server's own; see its log", "internal_error", 500, request_id)
    response.headers["X-Request-Id"] = request_id
    trace = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(trace):
        response.headers["traceparent"] = trace
    return response


def _translated(request: web.Request, error: web.HTTPException, request_id: str) -> web.Response:
    code = error.reason.lower().replace(" ", "_")
    message = f"{request.method} {brief(request.path)}: {error.reason}"
    response = _refusal(message, code, error.status, request_id)
    response.headers.update({name: error.headers[name] for name in ("Allow", "Location") if name in error.headers})
    return response


def _refusal(message: str, code: str, status: int, request_id: str) -> web.Response:
    body = {"error": message, "code": code, "status": status, "request_id": request_id}
    return web.json_response(body, status=status)
