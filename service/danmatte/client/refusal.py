"""What a server says when it wants none of it."""

import json

import aiohttp


class RefusedError(Exception):
    """The server's refusal; asking the same again helps only when `status` is 429 or 503."""

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code, self.status = code, status


async def refused(answer: aiohttp.ClientResponse) -> RefusedError:
    """The error in an answer's JSON, or what its status says when a stranger between us wrote it."""
    try:
        said = json.loads(await answer.read())
        return RefusedError(str(said["error"]), str(said["code"]), answer.status)
    except (ValueError, KeyError, TypeError):
        return RefusedError(f"{answer.url}: {answer.status} {answer.reason}", "", answer.status)
