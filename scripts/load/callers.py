"""Load generators with a fixed number of callers or a fixed rate, and a count of the responses."""

import asyncio
import itertools
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from danmatte.capacity.load import Target

PATIENCE = aiohttp.ClientTimeout(total=60)


@dataclass
class Tally:
    """Results of a load: times of successful responses, responses by status, and failures by exception."""

    times_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    left: int = 0
    without_retry_after: int = 0
    seconds: float = 0.0

    @property
    def per_s(self) -> float:
        """Return successful responses a second."""
        return len(self.times_ms) / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: int) -> float:
        """Return a percentile of the times of successful responses; NaN if there are fewer than two."""
        return statistics.quantiles(self.times_ms, n=100)[percent - 1] if len(self.times_ms) > 1 else float("nan")

    def facts(self) -> dict[str, Any]:
        """Return the results as plain data for JSON."""
        return {
            "answered": len(self.times_ms),
            "per_s": self.per_s,
            "p50_ms": self.percentile_ms(50),
            "p99_ms": self.percentile_ms(99),
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "failures": dict(self.failures),
            "left": self.left,
            "refused_without_retry_after": self.without_retry_after,
        }

    def __str__(self) -> str:
        return (
            f"{self.per_s:.1f}/s, p50 {self.percentile_ms(50):.1f} ms, p99 {self.percentile_ms(99):.1f} ms, "
            f"{dict(sorted(self.statuses.items()))}, {self.failures.total()} failed"
        )


class Callers:
    """A load generator that posts to one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._bodies = itertools.cycle(target.bodies)
        self.tally = Tally()

    async def at_once(self, connections: int, until: Callable[[Tally], bool]) -> Tally:
        """Run ``connections`` callers, each of which posts again as soon as it gets a response."""

        async def caller(session: aiohttp.ClientSession) -> None:
            while not until(self.tally):
                await self._post(session)

        return await self._time_all(connections, lambda session: [caller(session) for _ in range(connections)])

    async def a_second(self, rate: float, seconds: float) -> Tally:
        """Post at random moments, ``rate`` times a second on average, without waiting for responses."""
        chance, end = random.Random(0), time.monotonic() + seconds

        async def arrivals(session: aiohttp.ClientSession) -> None:
            async with asyncio.TaskGroup() as posts:
                moment = time.monotonic()
                while (moment := moment + chance.expovariate(rate)) < end:
                    await asyncio.sleep(max(0.0, moment - time.monotonic()))
                    posts.create_task(self._post(session))

        return await self._time_all(0, lambda session: [arrivals(session)])

    async def leaving(self, connections: int, seconds: float, within_s: float) -> Tally:
        """Run callers as in `at_once`, but cancel half of the posts after a random time of at most ``within_s``."""
        chance, end = random.Random(0), time.monotonic() + seconds

        async def caller(session: aiohttp.ClientSession) -> None:
            while time.monotonic() < end:
                if chance.random() < 0.5:
                    await self._post(session)
                    continue
                try:
                    async with asyncio.timeout(chance.random() * within_s):
                        await self._post(session)
                except TimeoutError:
                    self.tally.left += 1

        return await self._time_all(connections, lambda session: [caller(session) for _ in range(connections)])

    async def _time_all(self, limit: int, work: Callable[[aiohttp.ClientSession], list[Any]]) -> Tally:
        connector = aiohttp.TCPConnector(limit=limit)
        async with aiohttp.ClientSession(connector=connector, timeout=PATIENCE) as session:
            started = time.monotonic()
            await asyncio.gather(*work(session))
            self.tally.seconds += time.monotonic() - started
        return self.tally

    async def _post(self, session: aiohttp.ClientSession) -> None:
        started = time.perf_counter()
        try:
            async with session.post(self._target.url, data=next(self._bodies), headers=self._target.headers) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.tally.failures[type(error).__name__] += 1
            await asyncio.sleep(0.01)
            return
        self.tally.statuses[answer.status] += 1
        if answer.status == 200 and body:
            self.tally.times_ms.append(1000 * (time.perf_counter() - started))
            self.tally.versions[answer.headers.get("X-Model-Version", "")] += 1
        elif answer.status in (429, 503) and "Retry-After" not in answer.headers:
            self.tally.without_retry_after += 1


def for_seconds(seconds: float) -> Callable[[Tally], bool]:
    """Return a condition that becomes true after ``seconds``."""
    end = time.monotonic() + seconds
    return lambda tally: time.monotonic() >= end


def mattes(address: str, bodies: Sequence[bytes]) -> Target:
    """Return a target for masks of the size that players use."""
    return Target(f"{address}/v1/mattes?width=320&height=180", bodies, {"Content-Type": "image/jpeg"})


def run_at_once(target: Target, connections: int, seconds: float) -> Tally:
    """Run a closed loop of callers in a new event loop."""
    return asyncio.run(Callers(target).at_once(connections, for_seconds(seconds)))


def run_a_second(target: Target, rate: float, seconds: float) -> Tally:
    """Run an open loop with a fixed rate in a new event loop."""
    return asyncio.run(Callers(target).a_second(rate, seconds))
