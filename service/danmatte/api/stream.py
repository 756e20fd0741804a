"""`GET /v1/stream`, a WebSocket: frames in as they are shown, their masks out.

If the server falls behind, older frames are dropped, and each answer lists the ones dropped before it. Every byte of
the messages, the query and the codes of closing: `danmatte/messages.py`.
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
STABILISE: Final = Flag("stabilise", "masks that stand still where people do")
_MEDIA_TYPES = {Picture.ENCODED: "", Picture.NV12: "application/x-nv12", Picture.RGB24: "application/x-rgb24"}
_PHASES = ("queue", "decode", "infer", "encode")
_LONGEST_SIDE = 65_535
_CLOSING_S = 2.0
_CLEAN: Final = (WSCloseCode.OK, WSCloseCode.GOING_AWAY, 1005)  # 1005: it gave no code (RFC 6455, 7.1.5)
_COPIES = 2  # of an answer: the message, and what the connection has yet to send of it


@dataclass
class _Session:
    """What is the same for every frame of a connection; with `stabiliser` masks stand still where people do."""

    http: web.Request
    request: Request
    asked: MaskQuery
    stabiliser: LiveStabiliser | None


class StreamRoutes(HttpProtocol):
    """The live route. A connection has a place for as long as it lasts, and each frame a permit, like any request."""

    tag = ("mattes", "our own: a frame in, its mask out")
    prefixes = (("/v1/stream", "live"),)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        settings = shared.settings
        self._origins = Origins(settings.origins)
        self._limits = ConnectionLimits(settings.live_in_work, settings.live_idle_s, settings.live_unread_s)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """As the base class says."""
        parameters = [*describe_parameters(models), describe_query(STABILISE)]
        live = describe_operation("mattes", "Live: frames in and masks out over a WebSocket", {}, parameters)
        return {
            "/v1/stream": {"get": live | {"responses": {"101": {"description": "the WebSocket"}, "default": REFUSAL}}}
        }

    def routes(self) -> list[web.RouteDef]:
        """As the base class says."""
        return [web.get("/v1/stream", self.stream)]

    async def stream(self, http: web.Request) -> web.WebSocketResponse:
        """A connection, from the upgrade to its end; whatever can be refused is refused before the upgrade."""
        socket = web.WebSocketResponse(
            timeout=_CLOSING_S,
            heartbeat=self._settings.live_heartbeat_s,
            protocols=(SUBPROTOCOL,),
            compress=False,  # pictures and masks already are, and no message unpacks to more than it weighs
            max_msg_size=OFFER_HEADER_BYTES + self._settings.max_body_bytes + 1,  # the first that is too large
        )
        if not socket.can_prepare(http):
            raise RequestError("/v1/stream: expected the upgrade to a WebSocket, version 13")
        self._origins.check_upgrade(http)
        query = Query(http.query, (*PARAMETERS, STABILISE))
        asked = MaskQuery.read(http, query)
        self._requests.check(asked.options)
        caller = identify_caller(http)
        request = self._requests.open(caller, long_lived=True)
        session = _Session(http, request, asked, LiveStabiliser() if query[STABILISE] else None)
        # A stabilised mask builds on the one before.
        limits = self._limits._replace(in_work=1) if session.stabiliser else self._limits
        connection = Connection(socket, request, partial(self._answer, session), limits)
        with self._requests.live.open(caller, connection.leave, find_identity(http).is_valid) as call:
            async with request:
                async with request.deadline():
                    await request.find(asked.selector)
                await socket.prepare(http)
                try:
                    ending = await connection.run(call.note_use)
                except asyncio.CancelledError:
                    http[CLOSED_CLEANLY] = socket.close_code in _CLEAN
                    raise
                except Exception:  # after the upgrade there is no HTTP any more to say it in
                    log.exception("live connection %s failed", http[REQUEST_ID])
                    ending = FAILED
                await hang_up(socket, http, ending)
        return socket

    async def _answer(self, session: _Session, waiting: Waiting) -> HeldAnswer:
        """The message that answers an offer, whatever happens to it."""
        timing, held_bytes = Timing(), 0
        timing.add("queue", since=waiting.arrived)
        self._metrics.count_frames("skipped", len(waiting.skipped))
        try:
            answer = await _matte(session, Offer.unpack(waiting.message), timing)
            session.request.hold(_COPIES * len(answer.body))
            held_bytes = _COPIES * len(answer.body)
            self._metrics.count_frames("answered")
            self._metrics.count_phases(timing)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            refusal = describe_error(session.http, error)
            self._metrics.count_frames("refused")
            self._metrics.count_rejection(str(refusal["code"]))
            answer = Answer(waiting.pts, json.dumps(refusal).encode(), status=int(refusal["status"]))
        spent = Spent(*(timing.phases_ms.get(phase, 0.0) for phase in _PHASES))
        return HeldAnswer(replace(answer, spent=spent, skipped=waiting.skipped).pack(), held_bytes)


async def _matte(session: _Session, offer: Offer, timing: Timing) -> Answer:
    asked, declared = session.asked, Size(offer.size[1], offer.size[0]) if offer.picture else None
    wanted = MaskRequest(offer.body, asked.options, _MEDIA_TYPES[offer.picture], declared)
    moment = session.stabiliser.expect(offer.pts) if session.stabiliser else None
    matte: Matte = await session.request.matte(wanted, asked.selector, timing, stabilise=moment)
    height, width = matte.mask.size
    if max(height, width) > _LONGEST_SIDE:
        raise PictureTooLargeError(f"picture: expected sides up to {_LONGEST_SIDE}, received {matte.mask.size}")
    flags = FrameFlags.CUT if moment and moment.cut else FrameFlags.NONE
    coverage = matte.mask.coverage
    return Answer(offer.pts, matte.body, flags=flags, size=(width, height), coverage=coverage, version=matte.version)
