"""One live connection: offers in, answers out in the same order; an offer that waits is replaced by a newer one."""

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
    """An answer's message, and how many bytes of it the request holds until it is sent."""

    message: bytes
    held_bytes: int


Answer: TypeAlias = Callable[[Waiting], Coroutine[None, None, HeldAnswer]]
MOST_SKIPPED = 4096
_CLOSING_S = 2.0


class Ending(NamedTuple):
    """The code and the words of closing (RFC 6455, 7.4); what was taken in is answered before."""

    code: int
    reason: str


GONE = Ending(0, "nobody is there any more")
UNREAD = Ending(WSCloseCode.POLICY_VIOLATION, "answers weren't read in time")
FAILED = Ending(WSCloseCode.INTERNAL_ERROR, "an error of the server's own; see its log")
IDLE = Ending(WSCloseCode.OK, "no offer came for long")
_FLOODED = Ending(WSCloseCode.POLICY_VIOLATION, f"more than {MOST_SKIPPED} offers came within one answer")
_TEXT = Ending(WSCloseCode.UNSUPPORTED_DATA, "expected a binary message, received text")
_FOREIGN = Ending(WSCloseCode.PROTOCOL_ERROR, "expected DML1 and a whole header")
_LEAVING: dict[type[ServiceError], int] = {
    DrainingError: WSCloseCode.GOING_AWAY,
    QueueFullError: WSCloseCode.TRY_AGAIN_LATER,
    UnauthorizedError: WSCloseCode.POLICY_VIOLATION,
}


class _UnreadError(Exception):
    pass


class ConnectionLimits(NamedTuple):
    """Frames in work at once, and how long offers, and readers of answers, are waited for."""

    in_work: int
    idle_s: float
    unread_s: float


class Connection:
    """Reads offers, works on them and sends answers concurrently, until `end` is called.

    Offers and answers count as bytes of the request. An offer that there is no room for is skipped.
    """

    def __init__(
        self, socket: web.WebSocketResponse, request: Request, answer: Answer, limits: ConnectionLimits
    ) -> None:
        self._socket, self._request, self._answer, self._limits = socket, request, answer, limits
        self._slot = LatestSlot()
        self._room = asyncio.Semaphore(limits.in_work)
        self._due: asyncio.Queue[asyncio.Task[HeldAnswer] | None] = asyncio.Queue()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def end(self, ending: Ending) -> None:
        """Stops reading offers; the first ending counts."""
        if not self._ending.done():
            self._ending.set_result(ending)

    def leave(self, why: ServiceError) -> None:
        """Ends it for a reason of the server's."""
        self.end(Ending(_LEAVING.get(type(why), WSCloseCode.INTERNAL_ERROR), str(why)))

    async def run(self, note_use: Callable[[], None]) -> Ending:
        """Serves a prepared socket to its end, which is answered; the socket is still to be closed.

        `note_use` is called whenever something comes.
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
        """Empties the socket as fast as it fills, so that nothing old waits anywhere."""
        ending = None
        while not ending:
            try:
                async with asyncio.timeout(self._limits.idle_s):  # that of `receive` begins anew with every pong
                    message = await self._socket.receive()
                ending = self._put(message)
                note_use()
            except TimeoutError:
                ending = IDLE
        self.end(ending)

    def _put(self, message: WSMessage) -> Ending | None:
        """Puts an offer into the slot; returns an Ending for a message that ends the connection."""
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
        return _FLOODED if self._slot.count_skipped() > MOST_SKIPPED else None

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Takes the newest offer whenever there is room; a sent answer makes room."""
        await self._room.acquire()
        while waiting := await self._slot.take():
            self._due.put_nowait(tasks.create_task(self._reply(waiting)))
            del waiting  # or its picture would stay until the next one is taken
            await self._room.acquire()
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
            del message, answer  # or they would stay until the next answer
            self._request.release(held_bytes)
            self._room.release()


async def hang_up(socket: web.WebSocketResponse, request: web.Request, ending: Ending) -> None:
    """Closes the socket with its code and reason; aborts the connection of a peer that doesn't take part."""
    if ending is GONE:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_CLOSING_S):
            await socket.close(code=ending.code, message=ending.reason.encode())
    if request.transport:
        request.transport.abort()
