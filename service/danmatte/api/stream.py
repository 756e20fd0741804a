"""`GET /v1/stream`, a WebSocket: frames in as they are shown, their masks out; the newest frame wins.

Every byte of the messages, the query and the codes of closing: `service/danmatte/messages.py`.
"""

import json
import logging
from dataclasses import dataclass, replace
from functools import partial

from aiohttp import web

from danmatte.api.mask_options import ASKED, Asked
from danmatte.api.stream_connection import FAILED, GOING, Connection, Limits, hang_up
from danmatte.client.latest import Waiting
from danmatte.engine import Served
from danmatte.errors import PictureTooLargeError, QueueFullError, RequestError, UnknownLabelError
from danmatte.frame import Size
from danmatte.http.caller import caller
from danmatte.http.errors import told
from danmatte.http.query import Parameters
from danmatte.http.request_keys import REQUEST_ID
from danmatte.inference.admission import Admission
from danmatte.inference.matting import Matte, Matting, Order
from danmatte.messages import OFFER_HEADER_BYTES, Answer, Flag, Offer, Picture, Spent
from danmatte.models import Policy, Repository
from danmatte.settings import Settings
from danmatte.telemetry.metrics import Metrics, Timing
from danmatte.video.live_stabiliser import LiveStabiliser

log = logging.getLogger(__name__)
_MEDIA_TYPES = {Picture.ENCODED: "", Picture.NV12: "application/x-nv12", Picture.RGB24: "application/x-rgb24"}
_PHASES = ("queue", "decode", "infer", "encode")
_LONGEST_SIDE = 65_535
_CLOSING_S = 2.0


@dataclass
class _Sitting:
    """What is the same for every frame of a connection; `steadying` where masks are to stand still.

    `side` is the label that was drawn, by this policy, where the caller names no version: two in turn would flicker.
    """

    request: web.Request
    asked: Asked
    steadying: LiveStabiliser | None
    policy: Policy | None = None
    side: str = ""


class Live:
    """The live route. A connection has a place for as long as it lasts, and a frame a turn like any post."""

    def __init__(
        self, matting: Matting, admission: Admission, repository: Repository, settings: Settings, metrics: Metrics
    ) -> None:
        self._matting, self._admission, self._repository = matting, admission, repository
        self._settings, self._metrics = settings, metrics
        self._limits = Limits(settings.live_in_work, settings.live_idle_s, settings.live_unread_s)
        self._open: set[Connection] = set()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.get("/v1/stream", self.stream)]

    def leave(self) -> None:
        """Has every connection answer what it took in, and close."""
        for connection in self._open:
            connection.end(GOING)

    async def stream(self, request: web.Request) -> web.WebSocketResponse:
        """A connection, from the upgrade to its end; whatever can be refused is refused before."""
        socket = self._socket()
        if not socket.can_prepare(request):
            raise RequestError("/v1/stream: expected the upgrade to a WebSocket, version 13")
        query = Parameters(request.query, [*ASKED, "stabilise"])
        asked = Asked.read(request, query)
        self._matting.check(asked.look)
        if self.connections >= self._settings.live_connections:
            raise QueueFullError(f"all {self._settings.live_connections} live connections are taken")
        sitting = _Sitting(request, asked, LiveStabiliser() if query.flag("stabilise") else None)
        # A steady mask builds on the one before.
        limits = self._limits._replace(in_work=1) if sitting.steadying else self._limits
        connection = Connection(socket, partial(self._answer, sitting), limits)
        self._open.add(connection)
        try:
            async with self._admission.place(caller(request), lasting=True):
                async with self._admission.deadline():
                    await self._found(sitting)
                await socket.prepare(request)
                await _served(connection, socket, request)
        finally:
            self._open.discard(connection)
        return socket

    def _socket(self) -> web.WebSocketResponse:
        """Uncompressed: pictures and masks already are, and no message unpacks to more than it weighs."""
        return web.WebSocketResponse(
            timeout=_CLOSING_S,
            heartbeat=self._settings.live_heartbeat_s,
            compress=False,
            max_msg_size=OFFER_HEADER_BYTES + self._settings.max_body_bytes + 1,  # the first that is too large
        )

    async def _answer(self, sitting: _Sitting, waiting: Waiting) -> bytes:
        """The message that answers an offer, whatever happens to it."""
        timing = Timing()
        timing.add("queue", since=waiting.arrived)
        self._metrics.frames("skipped", len(waiting.skipped))
        try:
            answer = await self._masked(sitting, Offer.unpack(waiting.message), timing)
            self._metrics.frames("answered")
            self._metrics.timed(timing)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            answer = self._refused(waiting.pts, told(sitting.request, error))
        spent = Spent(*(timing.phases_ms.get(phase, 0.0) for phase in _PHASES))
        return replace(answer, spent=spent, skipped=waiting.skipped).pack()

    async def _masked(self, sitting: _Sitting, offer: Offer, timing: Timing) -> Answer:
        asked, declared = sitting.asked, Size(offer.size[1], offer.size[0]) if offer.picture else None
        order = Order(_MEDIA_TYPES[offer.picture], asked.format, asked.look, declared)
        moment = sitting.steadying.expect(offer.pts) if sitting.steadying else None
        async with self._admission.deadline():
            served = await self._found(sitting)
            async with self._admission.turn(timing, caller(sitting.request)):
                matte = await self._matting.run(offer.body, order, served, timing, moment)
        return _told(offer.pts, matte, Flag.CUT if moment and moment.cut else Flag.NONE)

    async def _found(self, sitting: _Sitting) -> Served:
        asked, repository = sitting.asked, self._repository
        if asked.label or asked.version is not None:
            return await repository.find(asked.model, asked.version, asked.label)
        policy = repository.get_policy(asked.model)
        if policy != sitting.policy:
            sitting.policy, sitting.side = policy, repository.draw_label(asked.model)
        try:
            return await repository.find(asked.model, label=sitting.side)
        except UnknownLabelError:  # the canary can't be served any more
            sitting.side = repository.draw_label(asked.model)
            return await repository.find(asked.model, label=sitting.side)

    def _refused(self, pts: float, refusal: dict[str, object]) -> Answer:
        self._metrics.frames("refused")
        self._metrics.rejected(str(refusal["code"]))
        return Answer(pts, json.dumps(refusal).encode(), status=int(str(refusal["status"])))


def _told(pts: float, matte: Matte, flags: Flag) -> Answer:
    height, width = matte.mask.size
    if max(height, width) > _LONGEST_SIDE:
        raise PictureTooLargeError(f"picture: expected sides up to {_LONGEST_SIDE}, received {matte.mask.size}")
    coverage = matte.mask.coverage
    return Answer(pts, matte.body, flags=flags, size=(width, height), coverage=coverage, version=matte.version)


async def _served(connection: Connection, socket: web.WebSocketResponse, request: web.Request) -> None:
    """After the upgrade nothing may be raised: there is no HTTP any more to say it in."""
    try:
        ending = await connection.run()
    except Exception:
        log.exception("live connection %s failed", request[REQUEST_ID])
        ending = FAILED
    await hang_up(socket, request, ending)
