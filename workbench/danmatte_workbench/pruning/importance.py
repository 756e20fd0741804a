"""In which order a space's channels go, and what is lost: Optimal Brain Surgeon (Hassibi, Stork, Wolff, 1993).

A channel costs what the pointwise convolutions that mix it can't make up for from the others; that follows from the
second moments of their inputs. For one of them, with weights W and moments H of its inputs, taking input q out and
refitting the others loses |W_q|² / (H⁻¹)_qq, and the refitted weights are W − W_q (H⁻¹)_q / (H⁻¹)_qq.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from danmatte_workbench.pruning.channels import ChannelMap

BLOCK = 16  # channels that the kernels take at a time
DAMPING = 1e-5  # of the mean second moment
ROUNDING = 1e-10  # of the diagonal, so that what is nearly singular keeps a factor
_GONE = 1e30


@dataclass(frozen=True)
class Mixer:
    """A pointwise convolution: its weights with a last column for the constant, and its inputs' second moments.

    weights: (outputs, inputs + 1); moment: (inputs + 1, inputs + 1), the constant's one last in both.
    """

    name: str
    weights: np.ndarray
    moment: np.ndarray

    @property
    def energy(self) -> float:
        """The variance of its outputs, summed: what losses are a share of."""
        variance = self.moment - np.outer(self.moment[-1], self.moment[-1]) / self.moment[-1, -1]
        return float(np.einsum("oi,ij,oj->", self.weights, variance, self.weights)) + 1e-12


@dataclass(frozen=True)
class RemovalOrder:
    """The order in which a space's channels go, and the share of the mixers' outputs lost when so many are gone.

    order: positions of all channels, the first to go first. loss: ``loss[n]`` with the first n gone.
    """

    order: np.ndarray
    loss: np.ndarray

    def list_kept(self, gone: int) -> np.ndarray:
        """Positions of those left when ``gone`` are gone, sorted."""
        return np.sort(self.order[gone:])


def rank_channels(channels: ChannelMap, number: int, names: Sequence[str], mixers: Mapping[str, Mixer]) -> RemovalOrder:
    """Rank the channels of space ``number``, mixed by the named convolutions.

    They go a few at a time, always the cheapest, with the others refitted each time: what one channel costs depends on
    which others are left to stand in for it.
    """
    shrinking = [_ShrinkingMixer.start(mixers[name], channels, number) for name in dict.fromkeys(names)]
    width = len(shrinking[0].places)
    left = np.ones(width, bool)
    order: list[int] = []
    loss = [0.0]
    while len(order) < width - BLOCK:
        cost = np.sum([mixer.compute_costs() for mixer in shrinking], axis=0)
        cost[~left] = np.inf
        # A 64th of what is left at a time: ranking anew after every channel would take many times longer.
        some = np.argsort(cost)[: min(max(1, int(left.sum()) // 64), width - BLOCK - len(order))]
        lost = np.sum([mixer.remove(some) for mixer in shrinking], axis=0)
        loss.extend(loss[-1] + np.cumsum(lost))
        order.extend(map(int, some))
        left[some] = False
    return RemovalOrder(np.array([*order, *np.flatnonzero(left)]), np.array(loss))


@dataclass
class _ShrinkingMixer:
    """One mixer while channels go: what is left of its weights, and the inverse of what is left of the moments."""

    places: np.ndarray  # of the space's channels among the mixer's inputs
    weights: np.ndarray
    inverse: np.ndarray
    energy: float

    @classmethod
    def start(cls, mixer: Mixer, channels: ChannelMap, number: int) -> Self:
        lane = channels.get_input_lane(mixer.name)
        whole = {channels.resolve(run.space): np.arange(run.width) for run in lane}
        others = {other: np.arange(0) if other == number else kept for other, kept in whole.items()}
        places = np.setdiff1d(np.arange(len(mixer.moment) - 1), channels.select_columns(lane, others))
        return cls(places, mixer.weights.copy(), np.linalg.inv(damp(mixer.moment)), mixer.energy)

    def compute_costs(self) -> np.ndarray:
        """What each channel's going would lose, of the outputs' energy."""
        diagonal = np.maximum(np.diag(self.inverse)[self.places], 1 / _GONE)
        return np.asarray((self.weights[:, self.places] ** 2).sum(axis=0) / diagonal / self.energy)

    def remove(self, channels: np.ndarray) -> np.ndarray:
        """Take them out in this order, refit the others; return what each one lost, (channels,)."""
        places = self.places[channels]
        # One product for all of them: Cholesky's factor eliminates them one after the other, as each alone would be.
        corner = self.inverse[np.ix_(places, places)]
        factor = np.linalg.cholesky(corner + ROUNDING * np.diag(np.diag(corner)))
        rows = np.linalg.solve(factor, self.inverse[places])
        columns = np.linalg.solve(factor, self.weights[:, places].T)
        self.weights -= columns.T @ rows
        self.inverse -= rows.T @ rows
        self.inverse[places, :] = self.inverse[:, places] = 0
        self.inverse[places, places] = _GONE  # they cost nothing any more, and are never asked for again
        return np.asarray(np.square(columns).sum(axis=1) / self.energy)


def damp(moment: np.ndarray) -> np.ndarray:
    """The moments with a little added to the diagonal, so that they can be inverted where channels repeat others."""
    return np.asarray(moment + DAMPING * np.trace(moment) / len(moment) * np.eye(len(moment)))
