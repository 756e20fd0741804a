"""`POST /v1/mattes`, which returns the person mask of a frame, and `GET /v1/models`, which lists the models."""

import asyncio
import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from danmatte.api.delivery import deliver
from danmatte.api.mask_options import PARAMETERS, MaskQuery, describe_parameters
from danmatte.api.multipart import FormPart, PartAnswer, answer_parts, split_parts
from danmatte.api.openapi.operations import DEADLINE_HEADER, describe_json, describe_operation, describe_query
from danmatte.api.protocol import HttpProtocol
from danmatte.codecs import Decoder, Encoder
from danmatte.errors import DeadlineError, InvalidParameterError
from danmatte.http.body import read_body
from danmatte.http.errors import build_retry_headers, describe_error
from danmatte.http.query import Query, Text, read_timeout_s
from danmatte.http.request_keys import CODE, PART_CODES, TIMING, identify_caller
from danmatte.inference.matting import MaskRequest, Matte
from danmatte.inference.request import Request
from danmatte.telemetry.timing import Timing

PTS: Final = Text("pts", "milliseconds; returned in X-Frame-Pts", r"-?\d{1,15}(\.\d{1,20})?", "milliseconds")
_MAX_NAME_LENGTH = 64


class MattesRoutes(HttpProtocol):
    """The routes for masks of frames, and the listing of models."""

    tag = ("mattes", "danmatte's own API: masks of frames")
    prefixes = (("/v1/mattes", "mattes"), ("/v1/models", "models"))

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        """See the base class."""
        frames: dict[str, Any] = {media_type: {"schema": {}} for media_type in Decoder.registered}
        masks: dict[str, Any] = {encoder.media_type: {"schema": {}} for encoder in Encoder.registered.values()}
        frames["multipart/form-data"] = {
            "schema": {
                "type": "object",
                "additionalProperties": {"type": "string", "format": "binary"},
                "description": "one frame in each part, named by its pts",
            }
        }
        masks["multipart/mixed"] = {"schema": {"description": "a mask or an error for each part, in the same order"}}
        parameters = [*describe_parameters(models), describe_query(PTS), DEADLINE_HEADER]
        post = describe_operation("mattes", "The person mask of a frame", masks, parameters)
        listing = describe_operation("mattes", "Models, their versions and states", describe_json("Models"))
        return {
            "/v1/mattes": {"post": post | {"requestBody": {"required": True, "content": frames}}},
            "/v1/models": {"get": listing},
        }

    def routes(self) -> list[web.RouteDef]:
        """See the base class."""
        return [web.post("/v1/mattes", self.post), web.get("/v1/models", self.list_models)]

    async def post(self, http: web.Request) -> web.StreamResponse:
        """Return the mask of a picture, or of several in parts; the query is checked before the body is read."""
        timing = http[TIMING] = Timing()
        query = Query(http.query, (*PARAMETERS, PTS))
        pts = query[PTS]
        mask_query = MaskQuery.read(http, query)
        if http.content_type == "multipart/form-data":
            return await self._post_several(http, mask_query, pts)
        media_type = http.content_type if "Content-Type" in http.headers else ""
        declared = mask_query.declare_size(media_type)
        async with self._requests.open(identify_caller(http)) as request:

            async def make_matte() -> tuple[bytes, dict[str, str]]:
                # A separate function, so that picture and pixels are freed before the mask is sent.
                body = await read_body(http, self._settings.upload_s, "a picture", request.hold)
                wanted = MaskRequest(body, mask_query.options, media_type, declared)
                matte = await request.matte(wanted, mask_query.selector, timing, read_timeout_s(http.headers))
                request.release(len(body))
                return matte.body, _describe(matte, mask_query, timing)

            mask, headers = await make_matte()
            return await deliver(http, request, mask, headers | _echo(pts))

    async def list_models(self, http: web.Request) -> web.Response:
        """List every model with its versions, and the reason if one isn't served."""
        return web.json_response({"models": msgspec.to_builtins(self._requests.repository.list_models())})

    async def _post_several(self, http: web.Request, mask_query: MaskQuery, pts: str) -> web.StreamResponse:
        if pts:
            raise InvalidParameterError("pts: expected as the names of the parts, received in the query")
        async with self._requests.open(identify_caller(http)) as request:
            data = await read_body(http, self._settings.upload_s, "pictures", request.hold)
            form = _Form(http, request, mask_query, read_timeout_s(http.headers) or math.inf)
            parts = await asyncio.to_thread(split_parts, data, http.headers["Content-Type"])
            del data
            wants_parts = "multipart/" in http.headers.get("Accept", "")
            if len(parts) == 1 and not wants_parts:  # such as a picture sent by `requests.post(files=…)`
                answer = await _answer(form, parts[0])
                http[TIMING].gather(form.timings)
                http[CODE] = "".join(http[PART_CODES][:1])
                http[PART_CODES].clear()
                return await deliver(http, request, answer.body, answer.headers, answer.status)
            try:
                return await answer_parts(http, request, parts, partial(_answer, form), self._settings.upload_s)
            finally:
                http[TIMING].gather(form.timings)


@dataclass
class _Form:
    """What the parts of a request share: the mask options, and the seconds within which all have to be processed."""

    http: web.Request
    request: Request
    mask_query: MaskQuery
    limit_s: float
    began: float = field(default_factory=time.monotonic)
    timings: list[Timing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http[PART_CODES] = []


async def _answer(form: _Form, part: FormPart) -> PartAnswer:
    """Return a part's mask, or its error."""
    timing, mask_query = Timing(), form.mask_query
    form.timings.append(timing)
    try:
        part.check()
        wanted = MaskRequest(part.body, mask_query.options, part.media_type, mask_query.declare_size(part.media_type))
        left_s = form.began + form.limit_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineError(f"no answer within {form.limit_s:g} s")
        matte = await form.request.matte(wanted, mask_query.selector, timing, left_s)
        form.request.hold(len(matte.body))
        return PartAnswer(200, _describe(matte, mask_query, timing) | _name(part.name), matte.body)
    except Exception as error:  # noqa: BLE001 - an error of one part must not affect the others
        refusal = describe_error(form.http, error)
        form.http[PART_CODES].append(refusal["code"])
        headers = {"Content-Type": "application/json; charset=utf-8"} | build_retry_headers(error) | _name(part.name)
        return PartAnswer(refusal["status"], headers, json.dumps(refusal).encode())


def _describe(matte: Matte, mask_query: MaskQuery, timing: Timing) -> dict[str, str]:
    return {
        "Content-Type": Encoder.registered[mask_query.options.format].media_type,
        "X-Model-Version": str(matte.version),
        "X-Models": ", ".join(matte.versions),
        "X-Person-Coverage": f"{matte.mask.coverage:.4f}",
        "X-Mask-Size": str(matte.mask.size),
        "Server-Timing": str(timing),
        **({"X-Picture-Warning": matte.warning} if matte.warning else {}),
    }


def _echo(pts: str) -> dict[str, str]:
    return {"X-Frame-Pts": pts} if pts else {}


def _name(name: str) -> dict[str, str]:
    """Return headers with a part's name, and with its pts if the name is one.

    The name is untrusted: characters that aren't allowed in a quoted string are percent-encoded. As in browsers, others
    and `%` itself aren't (RFC 7578, 2).
    """
    safe = (c if c.isprintable() and c not in '"\\' else quote(c, safe="") for c in name[:_MAX_NAME_LENGTH])
    pts = name if re.fullmatch(PTS.pattern, name, re.ASCII) else ""
    return {"Content-Disposition": f'form-data; name="{"".join(safe)}"'} | _echo(pts)
