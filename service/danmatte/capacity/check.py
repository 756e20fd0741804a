"""What a plan predicts beside what a running server does, request by request at the same moments."""

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
_REPLICATIONS = 20  # of the simulation, which draws other service times for the same arrivals
_PAUSE_S = 1.0


@dataclass(frozen=True)
class CheckOptions:
    """How long each load lasts, and how its arrivals are drawn: the same `seed` gives the same ones."""

    seconds: float = 30.0
    patterns: tuple[Pattern, ...] = ("periodic", "poisson")
    shares: tuple[float, ...] = SHARES
    seed: int = 0


class Comparison(msgspec.Struct, frozen=True):
    """A load's figures, predicted and measured. A late or missing answer counts as late in both."""

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
    """For each share of the worker's capacity and each pattern: an open loop, and the simulation of the same.

    `streams` gives frames a second and jitter; how many there are follows from the share.
    """
    for share in options.shares:
        for pattern in options.patterns:
            count = max(1, round(share * worker.per_s / streams.fps))
            own = replace(streams, count=count, pattern=pattern)
            report(f"{pattern}, {share:.0%}: {count} streams, {options.seconds:.0f} s")
            yield compare(worker, target, own, share, options)


def compare(worker: WorkerModel, target: Target, streams: Streams, share: float, options: CheckOptions) -> Comparison:
    """One load, run and simulated."""
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
    """The moments at which posts will be due, and what becomes of them, simulated again and again.

    `slowness` is how many times longer everything takes at a moment, in seconds from the beginning.
    """
    chance = np.random.default_rng(options.seed)
    arrivals = draw_single_caller(streams, options.seconds, chance)
    return arrivals, [simulate(worker, arrivals, chance, slowness) for _ in range(_REPLICATIONS)]


def run_load(target: Target, arrivals: Arrivals) -> list[PostResult]:
    """What a server answers to posts at these moments, once what came before is over."""

    async def run() -> list[PostResult]:
        await asyncio.sleep(_PAUSE_S)
        return await run_open(target, arrivals.moments_s)

    return asyncio.run(run())


def list_latencies(replies: list[PostResult]) -> Seconds:
    """How long each post took, in seconds; infinite without a mask."""
    return np.array([reply.latency_s if reply.status == 200 else np.inf for reply in replies])


def draw_single_caller(streams: Streams, seconds: float, chance: np.random.Generator) -> Arrivals:
    """Arrivals of streams that all come from one address, and so are one caller to the server."""
    drawn = streams.draw(seconds, chance)
    moments = drawn.moments_s - min(0.0, float(drawn.moments_s.min(initial=0)))
    return Arrivals(moments, np.zeros_like(drawn.callers))
