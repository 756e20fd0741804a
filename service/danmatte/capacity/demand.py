"""What is asked of all pods together, and how it comes to each: streams that are told, or those of an access log."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import numpy as np

from danmatte.capacity.arrivals import Arrivals, Pattern, Streams, find_heavy, multiply

REQUESTS = 20_000  # simulated for one figure: p99 is then the 200th worst
_FRAMES = 40  # of a stream in one replication; phases are drawn anew for the next one
_STEPS = 20  # in which a recorded load is made larger


class Demand(ABC):
    """A load that can be multiplied and spread over pods."""

    @abstractmethod
    def deal(self, pods: int, factor: float, chance: np.random.Generator) -> list[Arrivals]:
        """What comes to single pods, the fullest ones where they can't be alike."""

    @abstractmethod
    def count_per_s(self, factor: float = 1.0) -> float:
        """The mean rate, of all pods together."""

    @abstractmethod
    def find_step(self, pods: int) -> float:
        """The smallest change of the factor that changes the fullest pod's load."""

    @abstractmethod
    def use(self, pattern: Pattern) -> "Demand | None":
        """The same streams with other arrivals, simulated with fewer; None where arrivals are recorded."""

    @abstractmethod
    def describe(self, factor: float) -> str:
        """In words."""


@dataclass(frozen=True)
class StreamDemand(Demand):
    """So many streams, evenly over the pods: the fullest pod has one more than others.

    `requests` is how many are simulated for a figure.
    """

    streams: Streams
    requests: int = REQUESTS

    def deal(self, pods: int, factor: float, chance: np.random.Generator) -> list[Arrivals]:
        """As the base class says; every replication has other phases."""
        own = replace(self.streams, count=self.count_in_pod(pods, factor))
        replications = max(1, math.ceil(self.requests / (own.count * _FRAMES)))
        return [own.draw(_FRAMES / own.fps, chance) for _ in range(replications)]

    def count_in_pod(self, pods: int, factor: float) -> int:
        """The streams of the fullest pod."""
        return max(1, math.ceil(round(self.streams.count * factor / pods, 9)))

    def count_per_s(self, factor: float = 1.0) -> float:
        """As the base class says."""
        return self.streams.count * factor * self.streams.fps

    def find_step(self, pods: int) -> float:
        """As the base class says: one stream more in every pod."""
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
    """What an access log recorded; callers are dealt to pods at random, each with all of its requests.

    Those of a heavy caller, which has many connections, are dealt one by one.
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
