"""What handlers and middlewares keep in an HTTP request for each other, and who its caller is."""

from aiohttp import web

from danmatte.telemetry.timing import Timing

TIMING = web.RequestKey("timing", Timing)  # by the handler, for counters, log and spans
REQUEST_ID = web.RequestKey("request_id", str)  # by the error middleware
CODE = web.RequestKey("code", str)  # the error's, by the error middleware
SENT_BYTES = web.RequestKey("sent_bytes", int)  # of an answer that is written piece by piece
PART_CODES = web.RequestKey("part_codes", list[str])  # of errors within an answer of several parts
TRACEPARENT = web.RequestKey("traceparent", str)  # of our own span, where traces are made
KEY_NAME = web.RequestKey("key_name", str)  # whose API key it came with, by `require_key`


def identify_caller(request: web.BaseRequest) -> str:
    """The name of the caller's API key, or its address: what fairness and the access log go by.

    Proxies' headers don't count, as anybody may write them.
    """
    return str(request.get(KEY_NAME, "")) or request.remote or ""
