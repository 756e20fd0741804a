"""A listening socket shared by several workers: a new connection goes to the worker that has the fewest."""

import asyncio
import logging
import select
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from socket import socket

from aiohttp import web

log = logging.getLogger(__name__)
# The kernel wakes every worker for a connection. Without a delay, one of two workers sometimes accepted all of eight
# simultaneous connections, and half of the machine idled until they were closed after `connection_s`.
_EACH_S, _MAX_S = 0.001, 0.004  # delay for each open connection, and its maximum; timers resolve one millisecond
# Maximum connections accepted after one delay, and their share of those accepted since the queue was last empty.
_AT_ONCE, _PART = 8, 8
_EXHAUSTED_S = 1.0


@asynccontextmanager
async def share(listener: socket, server: web.Server, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Accept connections for the server while the block runs; the socket has to be listening and non-blocking."""
    accepting = asyncio.create_task(_accept(listener, server, tls))
    try:
        yield
    finally:
        accepting.cancel()
        with suppress(asyncio.CancelledError):
            await accepting


async def _accept(listener: socket, server: web.Server, tls: ssl.SSLContext | None) -> None:
    """Accept connections for ever, each after a delay that grows with the number of this worker's open connections.

    All workers wake up for a connection, and the one with the fewest accepts it first. While connections are queued,
    a worker accepts several after each delay, but at most an eighth of what it has accepted from this queue so far,
    so that a long queue is spread evenly, too.
    """
    greetings, run = set[asyncio.Task[object]](), 0
    queue = select.poll()
    queue.register(listener.fileno(), select.POLLIN)
    while True:
        if not queue.poll(0):
            run = 0
            await wait_readable(listener.fileno())
        await asyncio.sleep(min(_MAX_S, _EACH_S * (len(server.connections) + len(greetings))))
        try:
            for _ in range(max(1, min(_AT_ONCE, run // _PART))):
                connection, _ = listener.accept()
                connection.setblocking(False)
                greeting = asyncio.create_task(_greet(connection, server, tls))
                greetings.add(greeting)
                greeting.add_done_callback(greetings.discard)
                run += 1
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            continue  # another worker accepted the connection, or it was closed
        except OSError as error:
            log.error("can't accept connections: %s", error)
            await asyncio.sleep(_EXHAUSTED_S)


async def _greet(connection: socket, server: web.Server, tls: ssl.SSLContext | None) -> None:
    """Do the TLS handshake, if there is one, and pass the connection to the server; a failed one is dropped."""
    with suppress(OSError, ssl.SSLError):
        await asyncio.get_running_loop().connect_accepted_socket(server, connection, ssl=tls)


async def wait_readable(descriptor: int) -> None:
    """Wait until the descriptor is readable, which for a listening socket means a pending connection."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(descriptor)
