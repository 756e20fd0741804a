"""One live connection: offers in, answers out in the same order; an offer that waits is replaced by a newer one."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import NamedTuple, TypeAlias

from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from danmatte.client.latest_slot import LatestSlot, Waiting
from danmatte.messages import read_pts

Answer: TypeAlias = Callable[[Waiting], Coroutine[None, None, bytes]]
MOST_SKIPPED = 4096
_CLOSING_S = 2.0


class Ending(NamedTuple):
    """The code and the words of closing (RFC 6455, 7.4); what was taken in is answered before."""

    code: int
    reason: str


GONE = Ending(0, "nobody is there any more")
GOING = Ending(WSCloseCode.GOING_AWAY, "the server is going; connect again")
UNREAD = Ending(WSCloseCode.POLICY_VIOLATION, "answers weren't read in time")
FAILED = Ending(WSCloseCode.INTERNAL_ERROR, "an error of the server's own; see its log")
IDLE = Ending(WSCloseCode.OK, "no offer came for long")
_FLOODED = Ending(WSCloseCode.POLICY_VIOLATION, f"more than {MOST_SKIPPED} offers came within one answer")
_TEXT = Ending(WSCloseCode.UNSUPPORTED_DATA, "expected a binary message, received text")
_FOREIGN = Ending(WSCloseCode.PROTOCOL_ERROR, "expected DML1 and a whole header")


class _UnreadError(Exception):
    pass


class ConnectionLimits(NamedTuple):
    """Frames in work at once, and how long offers, and readers of answers, are waited for."""

    in_work: int
    idle_s: float
    unread_s: float


class Connection:
    """Reads offers, works on them and sends answers concurrently, until `end` is called."""

    def __init__(self, socket: web.WebSocketResponse, answer: Answer, limits: ConnectionLimits) -> None:
        self._socket, self._answer, self._limits = socket, answer, limits
        self._slot = LatestSlot()
        self._room = asyncio.Semaphore(limits.in_work)
        self._due: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def end(self, ending: Ending) -> None:
        """Stops reading offers; the first ending counts."""
        if not self._ending.done():
            self._ending.set_result(ending)

    async def run(self) -> Ending:
        """Serves a prepared socket to its end, which is answered; the socket is still to be closed."""
        ending = GONE
        try:
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read())
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

    async def _read(self) -> None:
        """Empties the socket as fast as it fills, so that nothing old waits anywhere."""
        ending = None
        while not ending:
            try:
                ending = self._put(await self._socket.receive(self._limits.idle_s))
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
        self._slot.put(message.data, pts)
        return _FLOODED if self._slot.count_skipped() > MOST_SKIPPED else None

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        """Takes the newest offer whenever there is room; a sent answer makes room."""
        await self._room.acquire()
        while waiting := await self._slot.take():
            self._due.put_nowait(tasks.create_task(self._answer(waiting)))
            await self._room.acquire()
        self._due.put_nowait(None)

    async def _send(self) -> None:
        while answer := await self._due.get():
            message = await answer
            try:
                async with asyncio.timeout(self._limits.unread_s):
                    await self._socket.send_bytes(message)
            except TimeoutError as error:
                raise _UnreadError from error
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
