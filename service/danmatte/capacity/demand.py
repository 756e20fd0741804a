"""The load on all pods together, and its distribution: a number of streams, or the requests of an access log."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from danmatte.capacity.arrivals import Arrivals, Pattern, Streams, find_heavy, multiply

REQUESTS = 20_000  # simulated for one figure, so that p99 is the 200th worst latency
_FRAMES = 40  # of a stream in one replication; the next one draws new phases
_STEPS = 20  # per recorded load, in which it is increased


class Demand(ABC):
    """A load that can be multiplied and spread over pods."""

    @abstractmethod
    def deal(self, pods: int, factor: float, chance: np.random.Generator) -> list[Arrivals]:
        """Return the arrivals of single pods; if the load isn't the same for all, of those with the highest."""

    @abstractmethod
    def count_per_s(self, factor: float = 1.0) -> float:
        """Return the mean rate of all pods together."""

    @abstractmethod
    def find_step(self, pods: int) -> float:
        """Return the smallest change of the factor that changes the load of the pod with the highest."""

    @abstractmethod
    def use(self, pattern: Pattern) -> "Demand | None":
        """Return the same streams with another pattern, simulated with fewer requests; None for recorded arrivals."""

    @abstractmethod
    def describe(self, factor: float) -> str:
        """Return the multiplied load in words."""


@dataclass(frozen=True)
class StreamDemand(Demand):
    """A number of streams, distributed evenly over the pods: some pods have one more than others.

    `requests` is the number of requests that are simulated for a figure.
    """

    streams: Streams
    requests: int = REQUESTS

    def deal(self, pods: int, factor: float, chance: np.random.Generator) -> list[Arrivals]:
        """As the base class says; every replication has different phases."""
        own = replace(self.streams, count=self.count_in_pod(pods, factor))
        replications = max(1, math.ceil(self.requests / (own.count * _FRAMES)))
        return [own.draw(_FRAMES / own.fps, chance) for _ in range(replications)]

    def count_in_pod(self, pods: int, factor: float) -> int:
        """Return the number of streams of the pod with the most."""
        return max(1, math.ceil(round(self.streams.count * factor / pods, 9)))

    def count_per_s(self, factor: float = 1.0) -> float:
        """As the base class says."""
        return self.streams.count * factor * self.streams.fps

    def find_step(self, pods: int) -> float:
        """As the base class says: for one more stream in every pod."""
        return pods / self.streams.count

    def use(self, pattern: Pattern) -> "StreamDemand":
        """As the base class says."""
        if pattern == self.streams.pattern:
            return self
        return StreamDemand(replace(self.streams, pattern=pattern), self.requests // 2)

    def describe(self, factor: float) -> str:
        """As the base class says."""
        return f"{math.floor(round(self.streams.count * factor, 6))} streams"


@dataclass(frozen=True, eq=False)
class TraceDemand(Demand):
    """The requests of an access log; each caller is assigned to a random pod with all of its requests.

    The requests of a heavy caller, which has many connections, are assigned one by one.
    """

    recorded: Arrivals

    def deal(self, pods: int, factor: float, chance: np.random.Generator) -> list[Arrivals]:
        """As the base class says."""
        grown = multiply(self.recorded, factor, chance)
        owners = (chance.permutation(int(grown.callers.max(initial=0)) + 1) % pods)[grown.callers]
        spread = find_heavy(grown.callers)[grown.callers]
        owners[spread] = chance.integers(0, pods, int(spread.sum()))
        dealt: list[Arrivals] = []
        for pod in range(pods):
            own = owners == pod
            if own.any():
                dealt.append(Arrivals(grown.moments_s[own], grown.callers[own]))
            if sum(len(part.moments_s) for part in dealt) >= REQUESTS:
                break
        return dealt

    def count_per_s(self, factor: float = 1.0) -> float:
        """As the base class says."""
        return self.recorded.per_s * factor

    def find_step(self, pods: int) -> float:
        """As the base class says."""
        return 1 / _STEPS

    def use(self, pattern: Pattern) -> None:
        """As the base class says."""

    def describe(self, factor: float) -> str:
        """As the base class says."""
        return f"{factor:.2f} times the recorded load"
