"""A live connection: it receives offers and sends answers in their order; a newer offer replaces a waiting one."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from danmatte.client.latest_slot import LatestSlot, Waiting
from danmatte.errors import DrainingError, QueueFullError, ServiceError, UnauthorizedError
from danmatte.inference.request import Request
from danmatte.messages import read_pts


class HeldAnswer(NamedTuple):
    """An answer's message, and the number of bytes that the request counts as held until it is sent."""

    message: bytes
    held_bytes: int


Answer: TypeAlias = Callable[[Waiting], Coroutine[None, None, HeldAnswer]]
MAX_SKIPPED = 4096
_CLOSING_S = 2.0


class Ending(NamedTuple):
    """Code and reason for closing a connection (RFC 6455, 7.4); accepted offers are answered first."""

    code: int
    reason: str


GONE = Ending(0, "the client has disconnected")
UNREAD = Ending(WSCloseCode.POLICY_VIOLATION, "answers weren't read in time")
FAILED = Ending(WSCloseCode.INTERNAL_ERROR, "internal server error; see the server's log")
IDLE = Ending(WSCloseCode.OK, "no offer arrived for a long time")
_FLOODED = Ending(WSCloseCode.POLICY_VIOLATION, f"more than {MAX_SKIPPED} offers arrived during one answer")
_TEXT = Ending(WSCloseCode.UNSUPPORTED_DATA, "expected a binary message, received text")
_FOREIGN = Ending(WSCloseCode.PROTOCOL_ERROR, "expected DML1 and a complete header")
_LEAVING: dict[type[ServiceError], int] = {
    DrainingError: WSCloseCode.GOING_AWAY,
    QueueFullError: WSCloseCode.TRY_AGAIN_LATER,
    UnauthorizedError: WSCloseCode.POLICY_VIOLATION,
}


class _UnreadError(Exception):
    pass


class ConnectionLimits(NamedTuple):
    """Maximum frames computed at once, and timeouts for the next offer and for the client to read an answer."""

    in_work: int
    idle_s: float
    unread_s: float


class Connection:
    """Reads offers, processes them and sends answers concurrently, until `end` is called.

    The bytes of offers and answers count as held by the request. An offer that would exceed the limit is skipped.
    """

    def __init__(
        self, socket: web.WebSocketResponse, request: Request, answer: Answer, limits: ConnectionLimits
    ) -> None:
        self._socket, self._request, self._answer, self._limits = socket, request, answer, limits
        self._slot = LatestSlot()
        self._free = asyncio.Semaphore(limits.in_work)
        self._due: asyncio.Queue[asyncio.Task[HeldAnswer] | None] = asyncio.Queue()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def end(self, ending: Ending) -> None:
        """Stop reading offers; only the first call has an effect."""
        if not self._ending.done():
            self._ending.set_result(ending)

    def leave(self, why: ServiceError) -> None:
        """End the connection because of a server-side error."""
        self.end(Ending(_LEAVING.get(type(why), WSCloseCode.INTERNAL_ERROR), str(why)))

    async def run(self, note_use: Callable[[], None]) -> Ending:
        """Serve a prepared socket until the connection ends, and return why; the caller has to close the socket.

        `note_use` is called for every received message.
        """
        ending = GONE
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(note_use))
                tasks.create_task(self._work(tasks))
                tasks.create_task(self._send())
                ending = await self._ending
                if ending is GONE:
                    raise ConnectionResetError(GONE.reason)
                reading.cancel()
                self._slot.close()
        except* ConnectionError:
            ending = GONE
        except* _UnreadError:
            ending = UNREAD
        return ending

    async def _read(self, note_use: Callable[[], None]) -> None:
        """Read messages as fast as they arrive, so that no outdated offers queue up in buffers."""
        ending = None
        while not ending:
            try:
                # Not the timeout of `receive`, because that restarts with every pong.
                async with asyncio.timeout(self._limits.idle_s):
                    message = await self._socket.receive()
                ending = self._put(message)
                note_use()
            except TimeoutError:
                ending = IDLE
        self.end(ending)

    def _put(self, message: WSMessage) -> Ending | None:
        """Put an offer into the slot, or return an Ending if the message ends the connection."""
        if message.type is not WSMsgType.BINARY:
            return _TEXT if message.type is WSMsgType.TEXT else GONE
        pts = read_pts(message.data)
        if pts is None:
            return _FOREIGN
        try:
            self._request.hold(len(message.data))
        except QueueFullError:
            self._slot.skip(pts)
        else:
            replaced = self._slot.put(message.data, pts)
            self._request.release(len(replaced.message) if replaced else 0)
        return _FLOODED if self._slot.count_skipped() > MAX_SKIPPED else None

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Process the newest offer whenever fewer than `in_work` answers are unfinished or unsent."""
        await self._free.acquire()
        while waiting := await self._slot.take():
            self._due.put_nowait(tasks.create_task(self._reply(waiting)))
            del waiting  # otherwise its picture would stay in memory until the next one is taken
            await self._free.acquire()
        self._due.put_nowait(None)

    async def _reply(self, waiting: Waiting) -> HeldAnswer:
        reply = await self._answer(waiting)
        self._request.release(len(waiting.message))
        return reply

    async def _send(self) -> None:
        while answer := await self._due.get():
            message, held_bytes = await answer
            try:
                async with asyncio.timeout(self._limits.unread_s):
                    await self._socket.send_bytes(message)
            except TimeoutError as error:
                raise _UnreadError from error
            del message, answer  # otherwise they would stay in memory until the next answer
            self._request.release(held_bytes)
            self._free.release()


async def hang_up(socket: web.WebSocketResponse, request: web.Request, ending: Ending) -> None:
    """Close the socket with a code and reason; abort the connection if the client doesn't complete the handshake."""
    if ending is GONE:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_S):
            await socket.close(code=ending.code, message=ending.reason.encode())
    if request.transport:
        request.transport.abort()
