"""`GET /v1/stream`, a WebSocket that receives live frames and sends their masks.

If the server falls behind, older frames are dropped, and each answer lists the ones dropped before it.
`danmatte/messages.py` documents the messages, the query and the close codes.
"""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from aiohttp import WSCloseCode, web

from danmatte.api.mask_options import PARAMETERS, MaskQuery, describe_parameters
from danmatte.api.openapi.operations import REFUSAL, describe_operation, describe_query
from danmatte.api.protocol import HttpProtocol, Shared
from danmatte.api.stream_connection import FAILED, Connection, ConnectionLimits, HeldAnswer, hang_up
from danmatte.client.latest_slot import Waiting
from danmatte.errors import PictureTooLargeError, RequestError
from danmatte.frame import Size
from danmatte.http.auth import SUBPROTOCOL
from danmatte.http.errors import describe_error
from danmatte.http.origins import Origins
from danmatte.http.query import Flag, Query
from danmatte.http.request_keys import CLOSED_CLEANLY, REQUEST_ID, find_identity, identify_caller
from danmatte.inference.matting import MaskRequest, Matte
from danmatte.inference.request import Request
from danmatte.messages import OFFER_HEADER_BYTES, Answer, FrameFlags, Offer, Picture, Spent
from danmatte.telemetry.timing import Timing
from danmatte.video.live_stabiliser import LiveStabiliser

log = logging.getLogger(__name__)
STABILISE: Final = Flag("stabilise", "stabilise the masks over time")
_MEDIA_TYPES = {Picture.ENCODED: "", Picture.NV12: "application/x-nv12", Picture.RGB24: "application/x-rgb24"}
_PHASES = ("queue", "decode", "infer", "encode")
_MAX_SIDE = 65_535
_CLOSING_S = 2.0
_CLEAN: Final = (WSCloseCode.OK, WSCloseCode.GOING_AWAY, 1005)  # 1005: the client sent no code (RFC 6455, 7.1.5)
_COPIES = 2  # copies of an answer in memory: the message, and the connection's write buffer


@dataclass
class _Session:
    """What all frames of a connection share; masks are stabilised if `stabiliser` isn't None."""

    http: web.Request
    request: Request
    mask_query: MaskQuery
    stabiliser: LiveStabiliser | None


class StreamRoutes(HttpProtocol):
    """The live route. A connection holds a place in the queue while it is open, and each frame takes a permit."""

    tag = ("mattes", "danmatte's own API: masks of frames")
    prefixes = (("/v1/stream", "live"),)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        settings = shared.settings
        self._origins = Origins(settings.origins)
        self._limits = ConnectionLimits(settings.live_in_work, settings.live_idle_s, settings.live_unread_s)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        parameters = [*describe_parameters(models), describe_query(STABILISE)]
        live = describe_operation("mattes", "A WebSocket for masks of live frames", {}, parameters)
        return {
            "/v1/stream": {"get": live | {"responses": {"101": {"description": "the WebSocket"}, "default": REFUSAL}}}
        }

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        return [web.get("/v1/stream", self.stream)]

    async def stream(self, http: web.Request) -> web.WebSocketResponse:
        """Serve a connection until it ends. Errors of the query are reported before the upgrade."""
        socket = web.WebSocketResponse(
            timeout=_CLOSING_S,
            heartbeat=self._settings.live_heartbeat_s,
            protocols=(SUBPROTOCOL,),
            compress=False,  # pictures and masks are already compressed, and this rules out decompression bombs
            max_msg_size=OFFER_HEADER_BYTES + self._settings.max_body_bytes + 1,  # aiohttp refuses this size and more
        )
        if not socket.can_prepare(http):
            raise RequestError("/v1/stream: expected the upgrade to a WebSocket, version 13")
        self._origins.check_upgrade(http)
        query = Query(http.query, (*PARAMETERS, STABILISE))
        mask_query = MaskQuery.read(http, query)
        self._requests.check(mask_query.options)
        caller = identify_caller(http)
        request = self._requests.open(caller, long_lived=True)
        session = _Session(http, request, mask_query, LiveStabiliser() if query[STABILISE] else None)
        # A stabilised mask depends on the previous one, so frames are computed one at a time.
        limits = self._limits._replace(in_work=1) if session.stabiliser else self._limits
        connection = Connection(socket, request, partial(self._answer, session), limits)
        with self._requests.live.open(caller, connection.leave, find_identity(http).is_valid) as call:
            async with request:
                async with request.deadline():
                    await request.find(mask_query.selector)
                await socket.prepare(http)
                try:
                    ending = await connection.run(call.note_use)
                except asyncio.CancelledError:
                    http[CLOSED_CLEANLY] = socket.close_code in _CLEAN
                    raise
                except Exception:  # after the upgrade, no HTTP error can be sent
                    log.exception("live connection %s failed", http[REQUEST_ID])
                    ending = FAILED
                await hang_up(socket, http, ending)
        return socket

    async def _answer(self, session: _Session, waiting: Waiting) -> HeldAnswer:
        """Return the answer to an offer as a message: its mask, or its error."""
        timing, held_bytes = Timing(), 0
        timing.add("queue", since=waiting.arrived)
        self._metrics.count_frames("skipped", len(waiting.skipped))
        try:
            answer = await _matte(session, Offer.unpack(waiting.message), timing)
            session.request.hold(_COPIES * len(answer.body))
            held_bytes = _COPIES * len(answer.body)
            self._metrics.count_frames("answered")
            self._metrics.count_phases(timing)
        except Exception as error:  # noqa: BLE001 - every offer needs an answer
            refusal = describe_error(session.http, error)
            self._metrics.count_frames("refused")
            self._metrics.count_rejection(str(refusal["code"]))
            answer = Answer(waiting.pts, json.dumps(refusal).encode(), status=int(refusal["status"]))
        spent = Spent(*(timing.phases_ms.get(phase, 0.0) for phase in _PHASES))
        return HeldAnswer(replace(answer, spent=spent, skipped=waiting.skipped).pack(), held_bytes)


async def _matte(session: _Session, offer: Offer, timing: Timing) -> Answer:
    mask_query, declared = session.mask_query, Size(offer.size[1], offer.size[0]) if offer.picture else None
    wanted = MaskRequest(offer.body, mask_query.options, _MEDIA_TYPES[offer.picture], declared)
    moment = session.stabiliser.expect(offer.pts) if session.stabiliser else None
    matte: Matte = await session.request.matte(wanted, mask_query.selector, timing, stabilise=moment)
    height, width = matte.mask.size
    if max(height, width) > _MAX_SIDE:
        raise PictureTooLargeError(f"picture: expected sides up to {_MAX_SIDE}, received {matte.mask.size}")
    flags = FrameFlags.CUT if moment and moment.cut else FrameFlags.NONE
    coverage = matte.mask.coverage
    return Answer(offer.pts, matte.body, flags=flags, size=(width, height), coverage=coverage, version=matte.version)
