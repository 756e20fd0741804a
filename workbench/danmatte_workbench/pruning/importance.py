"""In which order a space's channels go, and what is lost: Optimal Brain Surgeon (Hassibi, Stork, Wolff, 1993).

What a channel costs is what the pointwise convolutions that mix it can't make up for from the others; it follows
from the second moments of their inputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from danmatte_workbench.pruning.channels import Map

BLOCK = 16  # channels that the kernels take at a time
DAMPING = 1e-5  # of the mean second moment


@dataclass(frozen=True)
class Mixer:
    """A pointwise convolution: its weights with a last column for the constant, and its inputs' second moments."""

    name: str
    weights: np.ndarray
    moment: np.ndarray

    @property
    def energy(self) -> float:
        """The variance of its outputs, summed."""
        variance = self.moment - np.outer(self.moment[-1], self.moment[-1]) / self.moment[-1, -1]
        return float(np.einsum("oi,ij,oj->", self.weights, variance, self.weights)) + 1e-12


@dataclass(frozen=True)
class Course:
    """The order in which a space's channels go, and the share of the mixers' outputs lost when so many are gone."""

    order: np.ndarray
    loss: np.ndarray

    def kept(self, gone: int) -> np.ndarray:
        """Positions of those left, sorted."""
        return np.sort(self.order[gone:])


def course(chart: Map, number: int, names: Sequence[str], mixers: Mapping[str, Mixer]) -> Course:
    """Take channels out a few at a time, always the cheapest, with the others refitted each time."""
    views = [_View.of(mixers[name], chart, number) for name in dict.fromkeys(names)]
    width = len(views[0].places)
    left = np.ones(width, bool)
    order: list[int] = []
    loss = [0.0]
    while len(order) < width - BLOCK:
        cost = np.sum([view.costs() for view in views], axis=0)
        cost[~left] = np.inf
        some = np.argsort(cost)[: min(max(1, int(left.sum()) // 64), width - BLOCK - len(order))]
        for channel in some:
            loss.append(loss[-1] + sum(view.take(int(channel)) for view in views))
            order.append(int(channel))
        left[some] = False
    return Course(np.array([*order, *np.flatnonzero(left)]), np.array(loss))


@dataclass
class _View:
    """One mixer while channels go: what is left of its weights, and the inverse of what is left of the moments."""

    places: np.ndarray  # of the space's channels among the mixer's inputs
    weights: np.ndarray
    inverse: np.ndarray
    energy: float

    @classmethod
    def of(cls, mixer: Mixer, chart: Map, number: int) -> "_View":
        lane = chart.input_lane(mixer.name)
        whole = {chart.of(segment.space): np.arange(segment.width) for segment in lane}
        others = {other: np.arange(0) if other == number else kept for other, kept in whole.items()}
        places = np.setdiff1d(np.arange(len(mixer.moment) - 1), chart.columns(lane, others))
        return cls(places, mixer.weights.copy(), np.linalg.inv(damped(mixer.moment)), mixer.energy)

    def costs(self) -> np.ndarray:
        """What each channel's going would lose, of the outputs' energy."""
        diagonal = np.maximum(np.diag(self.inverse)[self.places], 1e-30)
        return np.asarray((self.weights[:, self.places] ** 2).sum(axis=0) / diagonal / self.energy)

    def take(self, channel: int) -> float:
        """Take it out, refit the others; return what was lost."""
        place = self.places[channel]
        lost = float((self.weights[:, place] ** 2).sum() / max(self.inverse[place, place], 1e-30)) / self.energy
        pivot = self.inverse[place] / self.inverse[place, place]
        self.weights -= np.outer(self.weights[:, place], pivot)
        self.inverse -= np.outer(self.inverse[:, place], pivot)
        self.inverse[place, place] = 1e30  # gone: it costs nothing any more, and is never asked again
        return lost


def damped(moment: np.ndarray) -> np.ndarray:
    """The moments with a little added to the diagonal, so that they can be inverted."""
    return np.asarray(moment + DAMPING * np.trace(moment) / len(moment) * np.eye(len(moment)))
