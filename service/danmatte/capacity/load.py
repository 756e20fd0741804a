"""A load generator: a number of concurrent callers (closed loop), or posts at given times (open loop)."""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from danmatte.capacity.arrivals import Seconds
from danmatte.client.post import read_phases_ms

_TIMEOUT = aiohttp.ClientTimeout(total=60)


@dataclass(frozen=True)
class Target:
    """A URL, and the bodies that are posted to it in turn."""

    url: str
    bodies: Sequence[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PostResult:
    """The result of a post: its status, 0 without a response; its latency, and the server's own timing.

    `latency_s` counts from `due_s`, the `time.perf_counter()` at which it should be sent, so that it includes a delay
    of sending. `queue_s` is the phase `queue`, and `thread_s` the sum of all other phases.
    """

    status: int
    latency_s: float
    queue_s: float = 0.0
    thread_s: float = 0.0
    version: int = 0
    due_s: float = 0.0


async def run_closed(
    target: Target, connections: int, seconds: float, rest_s: float = 0.0
) -> tuple[list[PostResult], float]:
    """Run `connections` callers, each of which posts again `rest_s` after its response.

    Returns the results, and the time taken in seconds.
    """
    bodies, replies = itertools.cycle(target.bodies), list[PostResult]()
    began = time.perf_counter()

    async def call(session: aiohttp.ClientSession) -> None:
        while (now := time.perf_counter()) < began + seconds:
            reply = await _post(session, target, next(bodies), now)
            replies.append(reply)
            if reply.status != 200:
                await asyncio.sleep(0.01)
            if rest_s:
                await asyncio.sleep(rest_s)

    async with _open(connections) as session:
        await asyncio.gather(*(call(session) for _ in range(connections)))
    return replies, time.perf_counter() - began


async def run_open(target: Target, moments_s: Seconds) -> list[PostResult]:
    """Post at each of these times, in seconds from now, without waiting for earlier responses.

    Returns the results in that order.
    """
    bodies = itertools.cycle(target.bodies)
    async with _open(0) as session, asyncio.TaskGroup() as posts:
        began, sent = time.perf_counter(), []
        for moment in moments_s.tolist():
            due = began + moment
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            sent.append(posts.create_task(_post(session, target, next(bodies), due)))
    return [task.result() for task in sent]


async def post_once(target: Target) -> PostResult:
    """Send one post, and return its result."""
    async with _open(1) as session:
        return await _post(session, target, target.bodies[0], time.perf_counter())


def _open(connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), timeout=_TIMEOUT)


async def _post(session: aiohttp.ClientSession, target: Target, body: bytes, due: float) -> PostResult:
    try:
        async with session.post(target.url, data=body, headers=target.headers) as answer:
            await answer.read()
    except (aiohttp.ClientError, TimeoutError):
        return PostResult(0, time.perf_counter() - due, due_s=due)
    latency_s = time.perf_counter() - due
    phases_ms = read_phases_ms(answer.headers)
    queue_s = phases_ms.pop("queue", 0.0) / 1e3
    version = int(answer.headers.get("X-Model-Version", 0))
    return PostResult(answer.status, latency_s, queue_s, sum(phases_ms.values()) / 1e3, version, due)
