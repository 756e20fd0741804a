"""The order in which a space's channels are removed: Optimal Brain Surgeon (Hassibi, Stork, Wolff, 1993).

The cost of a channel is the part of its contribution that the pointwise convolutions which mix it can't recover from
the other channels. It follows from the second moments of their inputs. For a convolution with weights W and input
moments H, removing input q and refitting the others loses |W_q|² / (H⁻¹)_qq, and the refitted weights are W − W_q
(H⁻¹)_q / (H⁻¹)_qq.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from danmatte_workbench.pruning.channels import ChannelMap

BLOCK = 16  # channels that the kernels process at a time
DAMPING = 1e-5  # as a share of the mean second moment
ROUNDING = 1e-10  # addition to the diagonal, as a share, so that nearly singular matrices can be factorised
_GONE = 1e30


@dataclass(frozen=True)
class Mixer:
    """A pointwise convolution: its weights, with the bias as their last column, and the second moments of its inputs.

    weights: (outputs, inputs + 1); moment: (inputs + 1, inputs + 1), where the last input is the constant one.
    """

    name: str
    weights: np.ndarray
    moment: np.ndarray

    @property
    def energy(self) -> float:
        """The variance of its outputs, summed; losses are a share of it."""
        variance = self.moment - np.outer(self.moment[-1], self.moment[-1]) / self.moment[-1, -1]
        return float(np.einsum("oi,ij,oj->", self.weights, variance, self.weights)) + 1e-12


@dataclass(frozen=True)
class RemovalOrder:
    """The order in which a space's channels are removed, and the resulting loss as a share of the mixers' outputs.

    order: positions of all channels, the first to be removed first. loss: ``loss[n]`` after the first n are removed.
    """

    order: np.ndarray
    loss: np.ndarray

    def list_kept(self, gone: int) -> np.ndarray:
        """Return the sorted positions of the channels that remain when ``gone`` are removed."""
        return np.sort(self.order[gone:])


def rank_channels(channels: ChannelMap, number: int, names: Sequence[str], mixers: Mapping[str, Mixer]) -> RemovalOrder:
    """Rank the channels of space ``number``, which the named convolutions mix.

    The cheapest ones are removed, a few at a time, and the others are refitted each time, because the cost of a channel
    depends on which others remain to replace it.
    """
    shrinking = [_ShrinkingMixer.start(mixers[name], channels, number) for name in dict.fromkeys(names)]
    width = len(shrinking[0].places)
    left = np.ones(width, bool)
    order: list[int] = []
    loss = [0.0]
    while len(order) < width - BLOCK:
        cost = np.sum([mixer.compute_costs() for mixer in shrinking], axis=0)
        cost[~left] = np.inf
        # A 64th of the remaining channels at a time, because ranking again after every channel takes much longer.
        some = np.argsort(cost)[: min(max(1, int(left.sum()) // 64), width - BLOCK - len(order))]
        lost = np.sum([mixer.remove(some) for mixer in shrinking], axis=0)
        loss.extend(loss[-1] + np.cumsum(lost))
        order.extend(map(int, some))
        left[some] = False
    return RemovalOrder(np.array([*order, *np.flatnonzero(left)]), np.array(loss))


@dataclass
class _ShrinkingMixer:
    """A mixer during the removal: the remaining weights, and the inverse of the remaining moments."""

    places: np.ndarray  # positions of the space's channels among the mixer's inputs
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
        """Return the loss from removing each channel, as a share of the outputs' energy."""
        diagonal = np.maximum(np.diag(self.inverse)[self.places], 1 / _GONE)
        return np.asarray((self.weights[:, self.places] ** 2).sum(axis=0) / diagonal / self.energy)

    def remove(self, channels: np.ndarray) -> np.ndarray:
        """Remove the channels in this order and refit the others; return the loss from each, (channels,)."""
        places = self.places[channels]
        # Cholesky's factor eliminates all of them with one product; the result is the same as one after the other.
        corner = self.inverse[np.ix_(places, places)]
        factor = np.linalg.cholesky(corner + ROUNDING * np.diag(np.diag(corner)))
        rows = np.linalg.solve(factor, self.inverse[places])
        columns = np.linalg.solve(factor, self.weights[:, places].T)
        self.weights -= columns.T @ rows
        self.inverse -= rows.T @ rows
        self.inverse[places, :] = self.inverse[:, places] = 0
        self.inverse[places, places] = _GONE  # makes their cost 0; they are never removed again
        return np.asarray(np.square(columns).sum(axis=1) / self.energy)


def damp(moment: np.ndarray) -> np.ndarray:
    """Return the moments with a small addition to the diagonal, because redundant channels make them singular."""
    return np.asarray(moment + DAMPING * np.trace(moment) / len(moment) * np.eye(len(moment)))
