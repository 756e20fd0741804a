"""A listening socket that several workers share: the next connection goes to who has the fewest."""

import asyncio
import logging
import select
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import socket

from aiohttp import web

log = logging.getLogger(__name__)
_EACH_S, _MOST_S = 0.001, 0.004  # a loop's timers know no less than a millisecond
_AT_ONCE, _PART = 8, 8  # most after one wait, and the part of those taken since nobody waited
_EXHAUSTED_S = 1.0


@asynccontextmanager
async def sharing(listener: socket, server: web.Server, secured: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Takes connections for the server until the block ends; the socket is listening, and doesn't block."""
    taking = asyncio.create_task(_take(listener, server, secured))
    try:
        yield
    finally:
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking


async def _take(listener: socket, server: web.Server, secured: ssl.SSLContext | None) -> None:
    """One at a time, after a wait that grows with the connections that are here: all wake, the idlest is first.

    While a line lasts, more after each wait, though few beside what it took of that line: that is spread evenly, too.
    """
    loop, greeted, run = asyncio.get_running_loop(), set[asyncio.Task[object]](), 0
    line = select.poll()
    line.register(listener.fileno(), select.POLLIN)
    while True:
        if not line.poll(0):
            run = 0
            await readable(listener.fileno())
        await asyncio.sleep(min(_MOST_S, _EACH_S * (len(server.connections) + len(greeted))))
        try:
            for _ in range(max(1, min(_AT_ONCE, run // _PART))):
                connection, _ = listener.accept()
                connection.setblocking(False)
                greeting = asyncio.create_task(_greet(connection, server, secured, loop))
                greeted.add(greeting)
                greeting.add_done_callback(greeted.discard)
                run += 1
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another took it, or it is gone
            continue
        except OSError as error:
            log.error("connections wait: %s", error)
            await asyncio.sleep(_EXHAUSTED_S)


async def _greet(
    connection: socket, server: web.Server, secured: ssl.SSLContext | None, loop: asyncio.AbstractEventLoop
) -> None:
    """TLS takes a while; who fails at it is let go."""
    with suppress(OSError, ssl.SSLError):
        await loop.connect_accepted_socket(server, connection, ssl=secured)


async def readable(descriptor: int) -> None:
    """Waits until there is something to read, or to accept."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(descriptor)
