"""Several frames in one request: `multipart/form-data` in (RFC 7578), `multipart/mixed` out (RFC 2046).

The whole body is read before the response begins, so that a malformed body gets an HTTP error, and clients that send
everything before they read can't deadlock. Each part of the response repeats the name of its frame's part, which is
also the frame's pts if it is a number. It has the headers of a response to a single frame, and its HTTP status as
`X-Status`.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from itertools import islice
from typing import TypeAlias
from uuid import uuid4

from aiohttp import web

from danmatte.api.delivery import abort, split_body, write
from danmatte.errors import BodyError, BodyTooLargeError, brief
from danmatte.http.errors import CallerLeftError
from danmatte.inference.request import Request

MAX_PARTS = 64
_AT_ONCE = 4  # parts processed at once: enough to overlap decoding and inference without piling up finished masks
_MAX_BOUNDARY_LENGTH = 70
_PLAIN = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(frozen=True)
class FormPart:
    """A part as it was received; `name` is untrusted, and `coding` is its content or transfer encoding."""

    name: str
    media_type: str
    coding: str
    body: bytes

    def check(self) -> None:
        """Raise BodyError if the body is encoded or empty."""
        if self.coding not in _PLAIN:
            raise BodyError(f"part: expected the picture's bytes unencoded, received {brief(self.coding)}")
        if not self.body:
            raise BodyError("part: expected a picture, received nothing")


@dataclass(frozen=True)
class PartAnswer:
    """The response to one part."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def split(self, boundary: str) -> Iterator[bytes | memoryview]:
        """Yield the bytes of this part of the response in pieces, without copying the body."""
        lines = [f"--{boundary}", f"X-Status: {self.status}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        yield "\r\n".join([*lines, "", ""]).encode()
        yield from split_body(self.body)
        yield b"\r\n"


Answer: TypeAlias = Callable[[FormPart], Coroutine[None, None, PartAnswer]]


def split_parts(data: bytes, content_type: str) -> list[FormPart]:
    """Split a complete body into its parts; raises BodyError if it is malformed, and BodyTooLargeError."""
    about = Message()
    about["Content-Type"] = content_type
    boundary = about.get_boundary("")
    if not 0 < len(boundary) <= _MAX_BOUNDARY_LENGTH:
        raise BodyError(f"Content-Type: expected a boundary of 1 to {_MAX_BOUNDARY_LENGTH} characters")
    delimiter = b"\r\n--" + boundary.encode("utf-8", "replace")
    _, *pieces = (b"\r\n" + data).split(delimiter, MAX_PARTS + 1)
    closing = [number for number, piece in enumerate(pieces) if piece.startswith(b"--")]
    if not closing and len(pieces) > MAX_PARTS:
        raise BodyTooLargeError(f"body: expected at most {MAX_PARTS} parts")
    if not closing:
        raise BodyError("body: expected the boundary and -- at the end")
    if not closing[0]:
        raise BodyError("body: expected a part between the boundaries, received none")
    return [_parse_part(piece) for piece in pieces[: closing[0]]]


def _parse_part(piece: bytes) -> FormPart:
    padding, line, rest = piece.partition(b"\r\n")
    head, blank, body = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not line or not blank:
        raise BodyError("body: expected a part's headers and an empty line after its boundary")
    headers = HeaderParser().parsestr(head.removeprefix(b"\r\n").decode("utf-8", "replace"))
    name = headers.get_param("name", "", "Content-Disposition")
    coding = headers.get("Content-Encoding") or headers.get("Content-Transfer-Encoding") or ""
    media_type = headers.get_content_type() if "Content-Type" in headers else ""
    return FormPart(name if isinstance(name, str) else "", media_type, str(coding).strip().lower(), body)


async def answer_parts(
    http: web.Request, request: Request, parts: list[FormPart], answer: Answer, unread_s: float
) -> web.StreamResponse:
    """Stream the responses to all parts in order, processing a few at once.

    A client that reads nothing for `unread_s` seconds is disconnected. The bytes that `answer` counts as held are
    released when they are written. Once the response has begun, errors are reported per part only. Raises
    CallerLeftError.
    """
    boundary = uuid4().hex
    response = web.StreamResponse(headers={"Content-Type": f"multipart/mixed; boundary={boundary}"})
    due: deque[asyncio.Task[PartAnswer]] = deque()
    tasks = (asyncio.create_task(answer(part)) for part in parts)

    async def write_in_time(data: bytes | memoryview) -> None:
        try:
            async with asyncio.timeout(unread_s):
                await write(http, request, response, data)
        except TimeoutError as error:
            abort(http)
            raise CallerLeftError from error

    try:
        due.extend(islice(tasks, _AT_ONCE))
        while due:
            first = await due[0]
            due.popleft()
            due.extend(islice(tasks, 1))
            for piece in first.split(boundary):
                await write_in_time(piece)
            request.release(len(first.body))
            del first, piece  # otherwise they would stay in memory until the next part is ready
        await write_in_time(f"--{boundary}--\r\n".encode())
    finally:
        for task in due:
            task.cancel()
    return response
