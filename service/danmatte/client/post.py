"""One picture, one mask."""

from collections.abc import Mapping

import aiohttp

from danmatte.client.refusal import refused
from danmatte.messages import Answer, Spent

_PHASES = ("queue", "decode", "infer", "encode")


async def matte(
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
        session.post(f"{url.rstrip('/')}/v1/mattes", data=picture, params=parameters(size, query)) as answer,
    ):
        if answer.status != 200:
            raise await refused(answer)
        return _answer(answer.headers, await answer.read())


def parameters(size: tuple[int, int] | None, query: Mapping[str, str] | None) -> dict[str, str]:
    """The query with the masks' size in it."""
    sides = {"width": str(size[0]), "height": str(size[1])} if size else {}
    return {**sides, **(query or {})}


def _answer(headers: Mapping[str, str], body: bytes) -> Answer:
    width, height = headers["X-Mask-Size"].split("x")
    phases = dict(part.split(";dur=") for part in headers["Server-Timing"].split(", "))
    return Answer(
        pts=float(headers.get("X-Frame-Pts", 0)),
        body=body,
        size=(int(width), int(height)),
        coverage=float(headers["X-Person-Coverage"]),
        version=int(headers["X-Model-Version"]),
        spent=Spent(*(float(phases.get(phase, 0)) for phase in _PHASES)),
    )
