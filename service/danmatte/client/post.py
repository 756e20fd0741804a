"""One frame posted, one mask back; and what a refusal is, which the live client raises too."""

import json
import re
from collections.abc import Mapping

import aiohttp
from multidict import MultiMapping

from danmatte.messages import Answer, Spent

_PHASES = ("queue", "decode", "infer", "encode")
_PHASE = re.compile(rf"(?:^|,)\s*({'|'.join(_PHASES)});dur=(\d+(?:\.\d+)?)", re.ASCII)


class RefusedError(Exception):
    """The server's refusal; asking the same again helps only when `status` is 429 or 503."""

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
    """The mask of a picture, `size` (width, height) pixels large or as the picture is; `query` as `/v1/mattes` has it.

    Raises RefusedError, and aiohttp.ClientError when nobody answers.
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
    """The query with the masks' size in it."""
    sides = {"width": str(size[0]), "height": str(size[1])} if size else {}
    return {**sides, **(query or {})}


def read_phases_ms(headers: MultiMapping[str]) -> dict[str, float]:
    """The milliseconds of our own phases in `Server-Timing`, to which proxies add entries of theirs, of any form."""
    timings = ",".join(headers.getall("Server-Timing", ()))
    return {match[1]: float(match[2]) for match in _PHASE.finditer(timings)}


async def read_refusal(answer: aiohttp.ClientResponse) -> RefusedError:
    """The error in an answer's JSON, or its status where a proxy between client and server wrote the answer."""
    try:
        said = json.loads(await answer.read())
        return RefusedError(str(said["error"]), str(said["code"]), answer.status)
    except (ValueError, KeyError, TypeError):
        return RefusedError(f"{answer.url}: {answer.status} {answer.reason}", "", answer.status)
