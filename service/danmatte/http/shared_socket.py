"""A listening socket that several workers share: the next connection goes to the worker that has the fewest."""

import asyncio
import logging
import select
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import socket

from aiohttp import web

log = logging.getLogger(__name__)
# The kernel wakes every worker for a connection. Without a wait one of two now and then took all of eight that came at
# once, and half of the machine idled until `connection_s` parted them.
_EACH_S, _MOST_S = 0.001, 0.004  # a loop's timers know no less than a millisecond
_AT_ONCE, _PART = 8, 8  # most after one wait, and the part of those taken since nobody waited
_EXHAUSTED_S = 1.0


@asynccontextmanager
async def share(listener: socket, server: web.Server, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Takes connections for the server until the block ends; the socket is listening, and doesn't block."""
    accepting = asyncio.create_task(_accept(listener, server, tls))
    try:
        yield
    finally:
        accepting.cancel()
        with suppress(asyncio.CancelledError):
            await accepting


async def _accept(listener: socket, server: web.Server, tls: ssl.SSLContext | None) -> None:
    """One at a time, after a wait that grows with the connections that are here: all wake, the idlest is first.

    While connections queue up, more after each wait, though few beside what it took of that queue: it is spread evenly,
    too.
    """
    greetings, run = set[asyncio.Task[object]](), 0
    queue = select.poll()
    queue.register(listener.fileno(), select.POLLIN)
    while True:
        if not queue.poll(0):
            run = 0
            await wait_readable(listener.fileno())
        await asyncio.sleep(min(_MOST_S, _EACH_S * (len(server.connections) + len(greetings))))
        try:
            for _ in range(max(1, min(_AT_ONCE, run // _PART))):
                connection, _ = listener.accept()
                connection.setblocking(False)
                greeting = asyncio.create_task(_greet(connection, server, tls))
                greetings.add(greeting)
                greeting.add_done_callback(greetings.discard)
                run += 1
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):  # another took it, or it is gone
            continue
        except OSError as error:
            log.error("connections wait: %s", error)
            await asyncio.sleep(_EXHAUSTED_S)


async def _greet(connection: socket, server: web.Server, tls: ssl.SSLContext | None) -> None:
    """TLS takes a while; who fails at it is let go."""
    with suppress(OSError, ssl.SSLError):
        await asyncio.get_running_loop().connect_accepted_socket(server, connection, ssl=tls)


async def wait_readable(descriptor: int) -> None:
    """Waits until there is something to read, or to accept."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(descriptor)
