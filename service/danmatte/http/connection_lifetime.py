"""When a connection ends with an answer: so that nobody posts into a line that closes, and load spreads again."""

import time
from weakref import WeakKeyDictionary

from aiohttp import web

from danmatte.inference.admission import Admission


class Parting:
    """Says goodbye on every connection while the server drains, and on old ones among several workers.

    Connections stay with the worker that accepted them: after one was replaced, the new one would idle
    for as long as the callers keep theirs.
    """

    def __init__(self, admission: Admission, *, longest_s: float) -> None:
        """`longest_s` 0 keeps connections however old they are."""
        self._admission, self._longest_s = admission, longest_s
        self._since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    async def prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `Application.on_response_prepare`."""
        if response.status != 101 and (self._admission.draining or self._is_old(request)):
            response.force_close()
            response.headers["Connection"] = "close"

    def _is_old(self, request: web.Request) -> bool:
        if not self._longest_s or request.transport is None:
            return False
        now = time.monotonic()
        return now - self._since.setdefault(request.transport, now) > self._longest_s
