"""A comparison of predicted latencies with those of a running server, for requests at the same times."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from danmatte.capacity.arrivals import Arrivals, Pattern, Seconds, Streams
from danmatte.capacity.load import PostResult, Target, run_open
from danmatte.capacity.plan import LoadFigures
from danmatte.capacity.simulation import Outcomes, Slowness, WorkerModel, join, simulate

SHARES = (0.5, 0.7, 0.85)
_REPLICATIONS = 20  # of the simulation, with different service times for the same arrivals
_PAUSE_S = 1.0


@dataclass(frozen=True)
class CheckOptions:
    """The duration of each load, and how its arrivals are drawn; the same `seed` gives the same arrivals."""

    seconds: float = 30.0
    patterns: tuple[Pattern, ...] = ("periodic", "poisson")
    shares: tuple[float, ...] = SHARES
    seed: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """A load's predicted and measured figures. In both, a missing response counts as infinitely late."""

    pattern: str
    share: float
    predicted: LoadFigures
    measured: LoadFigures

    @property
    def p99_ratio(self) -> float:
        """Predicted over measured."""
        return self.predicted.p99_ms / self.measured.p99_ms


def check(
    worker: WorkerModel, target: Target, streams: Streams, options: CheckOptions, report: Callable[[str], None]
) -> Iterator[Comparison]:
    """Yield a comparison for each share of the worker's capacity and each pattern of arrivals.

    `streams` states the frame rate and the jitter. The number of streams is computed from the share.
    """
    for share in options.shares:
        for pattern in options.patterns:
            count = max(1, round(share * worker.per_s / streams.fps))
            own = replace(streams, count=count, pattern=pattern)
            report(f"{pattern}, {share:.0%}: {count} streams, {options.seconds:.0f} s")
            yield compare(worker, target, own, share, options)


def compare(worker: WorkerModel, target: Target, streams: Streams, share: float, options: CheckOptions) -> Comparison:
    """Simulate a load, run it, and return both results."""
    arrivals, predicted = predict(worker, streams, options)
    replies = run_load(target, arrivals)
    busy = sum(reply.thread_s for reply in replies) / (options.seconds * worker.cores)
    measured = Outcomes(list_latencies(replies), min(1.0, busy))
    load = f"{streams.count} streams"
    return Comparison(
        streams.pattern,
        share,
        LoadFigures.summarize(load, 1, arrivals.per_s, join(predicted)),
        LoadFigures.summarize(load, 1, arrivals.per_s, measured),
    )


def predict(
    worker: WorkerModel, streams: Streams, options: CheckOptions, slowness: Slowness = lambda _: 1.0
) -> tuple[Arrivals, list[Outcomes]]:
    """Return the arrivals of posts, and their outcomes in several simulations.

    `slowness` returns how many times longer everything takes at a time, in seconds from the start.
    """
    chance = np.random.default_rng(options.seed)
    arrivals = draw_single_caller(streams, options.seconds, chance)
    return arrivals, [simulate(worker, arrivals, chance, slowness) for _ in range(_REPLICATIONS)]


def run_load(target: Target, arrivals: Arrivals) -> list[PostResult]:
    """Post to a server at these times, after a pause that lets earlier requests finish; return the results."""

    async def run() -> list[PostResult]:
        await asyncio.sleep(_PAUSE_S)
        return await run_open(target, arrivals.moments_s)

    return asyncio.run(run())


def list_latencies(replies: list[PostResult]) -> Seconds:
    """Return the latency of each post in seconds; infinite if it returned no mask."""
    return np.array([reply.latency_s if reply.status == 200 else np.inf for reply in replies])


def draw_single_caller(streams: Streams, seconds: float, chance: np.random.Generator) -> Arrivals:
    """Return arrivals of streams that all come from one address, and thus are one caller for the server."""
    drawn = streams.draw(seconds, chance)
    moments = drawn.moments_s - min(0.0, float(drawn.moments_s.min(initial=0)))
    return Arrivals(moments, np.zeros_like(drawn.callers))
