"""`POST /v1/mattes`: a frame in, its person mask out; `GET /v1/models`: what can be asked for."""

import asyncio
import json
import math
import re
import time
from functools import partial
from urllib.parse import quote

import msgspec
from aiohttp import web

from danmatte.api.mask_options import ASKED, Asked
from danmatte.api.multipart import Part, Piece, mixed, parts
from danmatte.codecs import Encoder
from danmatte.errors import DeadlineError, InvalidParameterError
from danmatte.http.body import body
from danmatte.http.caller import caller
from danmatte.http.errors import retry_after, told
from danmatte.http.query import Parameters, timeout_s
from danmatte.http.request_keys import PART_CODES, TIMING
from danmatte.inference.admission import Admission
from danmatte.inference.matting import Matte, Matting, Order
from danmatte.models import Repository
from danmatte.telemetry.metrics import Timing

PTS = r"-?\d{1,15}(\.\d{1,20})?"
_LONGEST_NAME = 64


class Mattes:
    """The routes of our own protocol."""

    def __init__(self, matting: Matting, admission: Admission, repository: Repository, *, upload_s: float) -> None:
        self._matting, self._admission, self._repository = matting, admission, repository
        self._upload_s = upload_s

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.post("/v1/mattes", self.post), web.get("/v1/models", self.models)]

    async def post(self, request: web.Request) -> web.StreamResponse:
        """A picture to its mask, or several in parts; the query is checked before the body is read."""
        timing = request[TIMING] = Timing()
        query = Parameters(request.query, [*ASKED, "pts"])
        pts = query.text("pts", PTS, "milliseconds")
        asked = Asked.read(request, query)
        if request.content_type == "multipart/form-data":
            return await self._several(request, asked, pts)
        order = asked.order(request.content_type if "Content-Type" in request.headers else "")
        async with self._admission.place(caller(request)):
            picture = await body(request, self._upload_s, "a picture")
            matte = await self._matte(request, asked, order, picture, timing, timeout_s(request.headers))
        headers = _headers(matte, order, timing) | _echoed(pts)
        return web.Response(body=matte.body, headers=headers)

    async def models(self, request: web.Request) -> web.Response:
        """Every model, its versions, and why one isn't served."""
        return web.json_response({"models": msgspec.to_builtins(self._repository.list_models())})

    async def _matte(
        self, request: web.Request, asked: Asked, order: Order, picture: bytes, timing: Timing, limit_s: float | None
    ) -> Matte:
        async with self._admission.deadline(limit_s):
            served = await self._repository.find(asked.model, asked.version, asked.label)
            async with self._admission.turn(timing, caller(request)):
                return await self._matting.run(picture, order, served, timing)

    async def _several(self, request: web.Request, asked: Asked, pts: str) -> web.StreamResponse:
        if pts:
            raise InvalidParameterError("pts: expected as the names of the parts, received in the query")
        async with self._admission.place(caller(request)):
            data = await body(request, self._upload_s, "pictures")
            sheet = _Sheet(request, asked, timeout_s(request.headers))
            found = await asyncio.to_thread(parts, data, request.headers["Content-Type"])
            try:
                piece = partial(self._piece, sheet)
                return await mixed(request, found, piece, self._admission.keep_place, self._upload_s)
            finally:
                request[TIMING].gather(sheet.timings)

    async def _piece(self, sheet: "_Sheet", part: Part) -> Piece:
        """A part's answer, whatever happens to it."""
        timing = Timing()
        sheet.timings.append(timing)
        try:
            part.check()
            order = sheet.asked.order(part.media_type)
            matte = await self._matte(sheet.request, sheet.asked, order, part.body, timing, sheet.left_s())
            return Piece(200, _headers(matte, order, timing) | _named(part.name), matte.body)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts are answered
            refusal = told(sheet.request, error)
            sheet.request[PART_CODES].append(refusal["code"])
            headers = {"Content-Type": "application/json; charset=utf-8"} | retry_after(error) | _named(part.name)
            return Piece(refusal["status"], headers, json.dumps(refusal).encode())


class _Sheet:
    """What the parts of a post have in common: what is asked, and for how long it may take."""

    def __init__(self, request: web.Request, asked: Asked, limit_s: float | None) -> None:
        self.request, self.asked, self._limit_s = request, asked, limit_s or math.inf
        self._began = time.monotonic()
        self.timings: list[Timing] = []
        request[PART_CODES] = []

    def left_s(self) -> float:
        """The time that is left to them; raises DeadlineError."""
        left_s = self._began + self._limit_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineError(f"no answer within {self._limit_s:g} s")
        return left_s


def _headers(matte: Matte, order: Order, timing: Timing) -> dict[str, str]:
    return {
        "Content-Type": Encoder.registered[order.format].media_type,
        "X-Model-Version": str(matte.version),
        "X-Person-Coverage": f"{matte.mask.coverage:.4f}",
        "X-Mask-Size": str(matte.mask.size),
        "Server-Timing": str(timing),
    }


def _echoed(pts: str) -> dict[str, str]:
    return {"X-Frame-Pts": pts} if pts else {}


def _named(name: str) -> dict[str, str]:
    """A part's name, which a stranger wrote, and its pts when it is one."""
    pts = name if re.fullmatch(PTS, name, re.ASCII) else ""
    told = "".join(letter if _harmless(letter) else quote(letter, safe="") for letter in name[:_LONGEST_NAME])
    return {"Content-Disposition": f'form-data; name="{told}"'} | _echoed(pts)


def _harmless(letter: str) -> bool:
    """Whether it may stand in a header between quotes; browsers escape no others either, nor a % (RFC 7578, 2)."""
    return letter.isprintable() and letter not in '"\\'
