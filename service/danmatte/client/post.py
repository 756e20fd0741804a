"""The client for single frames, and the error for refusals, which the live client raises, too."""

import json
import re
from collections.abc import Mapping

import aiohttp
from multidict import MultiMapping

from danmatte.messages import Answer, Spent

_PHASES = ("queue", "decode", "infer", "encode")
_PHASE = re.compile(rf"(?:^|,)\s*({'|'.join(_PHASES)});dur=(\d+(?:\.\d+)?)", re.ASCII)


class RefusedError(Exception):
    """The server refused the request. A retry may succeed only if `status` is 429 or 503."""

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code, self.status = code, status


async def post_frame(
    url: str,
    picture: bytes,
    *,
    size: tuple[int, int] | None = None,
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send a picture, and return its mask.

    `size` is the (width, height) of the mask in pixels, by default the picture's. `query` contains the parameters of
    `/v1/mattes`. Raises RefusedError, and aiohttp.ClientError if the server can't be reached.
    """
    headers = {"Content-Type": "application/octet-stream", **(headers or {})}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url.rstrip('/')}/v1/mattes", data=picture, params=make_query(size, query)) as answer,
    ):
        if answer.status != 200:
            raise await read_refusal(answer)
        width, height = answer.headers["X-Mask-Size"].split("x")
        phases_ms = read_phases_ms(answer.headers)
        return Answer(
            pts=float(answer.headers.get("X-Frame-Pts", 0)),
            body=await answer.read(),
            size=(int(width), int(height)),
            coverage=float(answer.headers["X-Person-Coverage"]),
            version=int(answer.headers["X-Model-Version"]),
            spent=Spent(*(phases_ms.get(phase, 0.0) for phase in _PHASES)),
        )


def make_query(size: tuple[int, int] | None, query: Mapping[str, str] | None) -> dict[str, str]:
    """Return the query parameters with the masks' size added."""
    sides = {"width": str(size[0]), "height": str(size[1])} if size else {}
    return {**sides, **(query or {})}


def read_phases_ms(headers: MultiMapping[str]) -> dict[str, float]:
    """Return the milliseconds of the server's phases in `Server-Timing`; entries added by proxies are ignored."""
    timings = ",".join(headers.getall("Server-Timing", ()))
    return {match[1]: float(match[2]) for match in _PHASE.finditer(timings)}


async def read_refusal(answer: aiohttp.ClientResponse) -> RefusedError:
    """Build the error from a response's JSON, or from its status if a proxy sent it in another format."""
    try:
        refusal = json.loads(await answer.read())
        return RefusedError(str(refusal["error"]), str(refusal["code"]), answer.status)
    except (ValueError, KeyError, TypeError):
        return RefusedError(f"{answer.url}: {answer.status} {answer.reason}", "", answer.status)
