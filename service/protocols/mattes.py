"""`POST /v1/mattes`: a frame in, its person mask out; `GET /v1/models`: what can be asked for."""

import asyncio
from typing import Final

from aiohttp import web

from service.admission import Admission
from service.codecs import RAW, Encoder
from service.errors import BodyError, BodyTimeoutError, BodyTooLargeError, InvalidParameterError
from service.frame import Size
from service.matting import Look, Matting, Order
from service.metrics import Timing
from service.protocols.parameters import Parameters, acceptable
from service.repository import Repository

KNOWN = ("model", "version", "width", "height", "format", "soft", "threshold", "polarity", "pts")
POLARITIES: Final = ("person", "background")
_SIDE = 65_535


class Mattes:
    """The routes of our own protocol."""

    def __init__(self, matting: Matting, admission: Admission, repository: Repository, *, upload_s: float) -> None:
        self._matting, self._admission, self._repository = matting, admission, repository
        self._upload_s = upload_s

    def routes(self) -> list[web.RouteDef]:
        """For `Application.add_routes`."""
        return [web.post("/v1/mattes", self.post), web.get("/v1/models", self.models)]

    async def post(self, request: web.Request) -> web.Response:
        """A picture to its mask; the query is checked before the body is read."""
        timing = Timing()
        query = Parameters(request.query, KNOWN)
        pts = query.text("pts", r"-?\d{1,15}(\.\d{1,6})?", "milliseconds")
        model = query.text("model", "[a-z0-9][a-z0-9_-]{0,63}", "a model's name")
        version = query.integer("version", 1, 2**53)
        order = _order(request, query)
        async with self._admission.place():
            body = await self._body(request)
            async with self._admission.deadline():
                served = await self._repository.find(model, version)
                async with self._admission.turn(timing):
                    matte = await self._matting.run(body, order, served, timing)
        headers = {
            "X-Model-Version": str(matte.version),
            "X-Person-Coverage": f"{matte.mask.coverage:.4f}",
            "X-Mask-Size": str(matte.mask.size),
            "Server-Timing": str(timing),
        }
        if pts:
            headers["X-Frame-Pts"] = pts
        kind = Encoder.registered[order.format].media_type
        return web.Response(body=matte.body, content_type=kind, headers=headers)

    async def models(self, request: web.Request) -> web.Response:
        """Every model, its versions, and why one isn't served."""
        return web.json_response({"models": self._repository.listing()})

    async def _body(self, request: web.Request) -> bytes:
        """The whole body; its limit is the application's `client_max_size`."""
        try:
            async with asyncio.timeout(self._upload_s):
                body = await request.read()
        except TimeoutError as error:
            raise BodyTimeoutError(f"body: expected within {self._upload_s:g} s") from error
        except web.HTTPRequestEntityTooLarge as error:
            raise BodyTooLargeError(f"body: expected at most {request.client_max_size} bytes") from error
        except web.RequestPayloadError as error:
            raise BodyError(f"body: {error}") from error
        if not body:
            raise BodyError("body: expected a picture, received nothing")
        return body


def _order(request: web.Request, query: Parameters) -> Order:
    media_type = request.content_type if "Content-Type" in request.headers else ""
    size = _size(query)
    if media_type in RAW and size is None:
        raise InvalidParameterError(f"width, height: expected with {media_type}")
    return Order(
        media_type=media_type,
        format=_format(request, query),
        look=Look(size, _threshold(query), query.choice("polarity", POLARITIES, POLARITIES[0])),
        declared=size if media_type in RAW else None,
    )


def _size(query: Parameters) -> Size | None:
    height, width = query.integer("height", 1, _SIDE), query.integer("width", 1, _SIDE)
    if height is None and width is None:
        return None
    if height is None or width is None:
        raise InvalidParameterError(f"{'width' if width is None else 'height'}: expected with the other one")
    return Size(height, width)


def _threshold(query: Parameters) -> float | None:
    """None for a soft mask."""
    if not query.flag("soft"):
        return query.number("threshold", 0, 1, default=0.5)
    if "threshold" in query:
        raise InvalidParameterError("threshold: expected with a hard mask, received with soft")
    return None


def _format(request: web.Request, query: Parameters) -> str:
    formats = {encoder.format: encoder.media_type for encoder in Encoder.registered.values()}
    if "format" in query:
        return query.choice("format", list(formats), "")
    accept = ",".join(request.headers.getall("Accept", []))
    return acceptable(accept, {media_type: name for name, media_type in formats.items()})
