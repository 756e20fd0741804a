"""A live connection that reconnects automatically."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

import aiohttp

from danmatte.client.latest_slot import LatestSlot, Waiting
from danmatte.client.post import make_query, read_refusal
from danmatte.messages import Answer, Offer, Picture

_TRANSIENT = frozenset({408, 429, 502, 503, 504})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_UNREAD_ANSWERS = 64
_LARGEST_ANSWER = 2**28
_HEARTBEAT_S = 20.0
# Headers of a browser's upgrade request; the key is the example of RFC 6455.
_UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Live:
    """A live connection. Call `offer` at any time, and iterate over the answers, which come in the order of the offers.

    While the connection is slow or lost, only the newest offer waits. An answer's `skipped` contains the pts of all
    offers dropped since the previous answer, whether by the client, with a lost connection, or by the server.
    """

    def __init__(
        self,
        url: str,
        *,
        size: tuple[int, int] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        give_up_s: float = 60.0,
    ) -> None:
        """`size` is the (width, height) of the masks; `query` contains the parameters of `/v1/stream`.

        `headers` are sent with the upgrade request, for example an API key. After `give_up_s` seconds without a
        connection, the iteration raises ConnectionError.
        """
        self._url, self._query = f"{url.rstrip('/')}/v1/stream", make_query(size, query)
        self._headers, self._give_up_s = dict(headers or {}), give_up_s
        self._slot = LatestSlot()
        self._sent: deque[Waiting] = deque()
        self._lost: list[float] = []
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue(_UNREAD_ANSWERS)
        self._well = time.monotonic()
        self._wait_s = _FIRST_WAIT_S

    @property
    def losses(self) -> tuple[float, ...]:
        """The pts of frames lost with a connection that no answer has listed yet."""
        return tuple(self._lost)

    def offer(
        self, picture: bytes, pts: float, kind: Picture = Picture.ENCODED, size: tuple[int, int] = (0, 0)
    ) -> None:
        """Offer a frame; `size` is its (width, height) in pixels if it is raw. Never blocks."""
        self._slot.put(Offer(pts, picture, kind, size).pack(), pts)

    def end(self) -> None:
        """Stop offering; the iteration ends after the last answer."""
        self._slot.close()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(self._wake)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Answer:
        """Raise RefusedError if the server refuses the request, and ConnectionError after `give_up_s` seconds."""
        over = self._running.done() and self._answers.empty()
        answer = None if over else await self._answers.get()
        if answer:
            return answer
        if not self._running.cancelled():
            self._running.result()
        raise StopAsyncIteration

    def _wake(self, running: "asyncio.Task[None]") -> None:
        """Wake up an iteration that waits for an answer, because no more will come."""
        if not running.cancelled():
            running.exception()
        if self._answers.empty():
            self._answers.put_nowait(None)

    async def _run(self) -> None:
        """Reconnect until all offers are sent and answered, or lost."""
        async with aiohttp.ClientSession(headers=self._headers) as session:
            while not self._slot.is_over:
                code = None
                try:
                    code = await self._converse(session)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    if time.monotonic() - self._well > self._give_up_s:
                        limit = f"{self._give_up_s:g} s"
                        raise ConnectionError(f"{self._url}: not reached within {limit}: {error}") from error
                for waiting in self._sent:  # unanswered offers are lost with the connection
                    self._lost += [*waiting.skipped, waiting.pts]
                self._sent.clear()
                if code == aiohttp.WSCloseCode.OK:  # the server closes idle connections
                    await self._slot.wait()
                    self._well = time.monotonic()
                elif not self._slot.is_over:
                    # exponential backoff with jitter, so that clients don't all reconnect at the same moment
                    await asyncio.sleep(random.uniform(self._wait_s / 2, self._wait_s))
                    self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)

    async def _converse(self, session: aiohttp.ClientSession) -> int | None:
        """Run one connection until it ends, and return its close code."""
        try:
            async with session.ws_connect(
                self._url, params=self._query, heartbeat=_HEARTBEAT_S, max_msg_size=_LARGEST_ANSWER
            ) as socket:
                sending = asyncio.create_task(self._send(socket))
                try:
                    async for message in socket:
                        if message.type is not aiohttp.WSMsgType.BINARY:
                            break
                        await self._answers.put(self._complete(Answer.unpack(message.data)))
                        if self._slot.is_over and not self._sent:
                            break
                finally:
                    self._well = time.monotonic()
                    sending.cancel()
                    await asyncio.wait([sending])
                    if not sending.cancelled():
                        sending.exception()
                return socket.close_code
        except aiohttp.WSServerHandshakeError as error:
            if error.status in _TRANSIENT:
                raise
            # aiohttp discards the body of a refused upgrade, so the request is repeated over plain HTTP to read it
            async with session.get(self._url, params=self._query, headers=_UPGRADE) as answer:
                raise await read_refusal(answer) from error

    async def _send(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while waiting := await self._slot.take():
            self._sent.append(waiting._replace(skipped=(*self._lost, *waiting.skipped)))
            self._lost.clear()
            await socket.send_bytes(waiting.message)
        if not self._sent:
            await socket.close()

    def _complete(self, answer: Answer) -> Answer:
        """Return the answer with all pts that the client or the server dropped before it."""
        self._wait_s = _FIRST_WAIT_S
        settled = [self._sent.popleft() for _ in range(min(len(answer.skipped) + 1, len(self._sent)))]
        dropped = [pts for waiting in settled for pts in (*waiting.skipped, waiting.pts)]
        return replace(answer, skipped=tuple(dropped[:-1]))
