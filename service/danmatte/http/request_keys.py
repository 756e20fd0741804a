"""What is known of a request on its way, and by whom it is read later."""

from aiohttp import web

from danmatte.telemetry.metrics import Timing

TIMING = web.RequestKey("timing", Timing)  # by the handler, for counters, log and spans
REQUEST_ID = web.RequestKey("request_id", str)  # by the envelope
CODE = web.RequestKey("code", str)  # the error's, by the envelope
SENT_BYTES = web.RequestKey("sent_bytes", int)  # of an answer that is written piece by piece
PART_CODES = web.RequestKey("part_codes", list[str])  # of errors within an answer of several parts
TRACEPARENT = web.RequestKey("traceparent", str)  # of our own span, where traces are made
KEY_NAME = web.RequestKey("key_name", str)  # whose API key it came with, by the guard
