"""Base class of the measures of outputs, and errors relative to an output's variance."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np

Answer: TypeAlias = tuple[np.ndarray, ...]
Sample: TypeAlias = tuple[float, ...]
WHOLE = 100.0  # points of a complete loss
_FLOOR = 0.01  # of the channels' mean variance: minimum variance of a channel
_STEP = 1.0  # minimum variance of integers, a step of one squared
_TINY = 1e-6  # of the root mean square: an output whose standard deviation is smaller is constant


class OutputMeasure(ABC):
    """Loss of a candidate in one output of the source, in points from 0 to 100; lower is better.

    A measure is created for one output, from the source's values for all frames. Each frame gives a sample of a few
    numbers, and the loss is computed from the samples of any set of frames. Outputs that are constant, shifted or
    scaled must not pass the limit.

    kind: name of this kind of output. limit: default maximum loss in points. about: what is compared.
    """

    kind: ClassVar[str]
    limit: ClassVar[float]
    about: ClassVar[str]
    all: ClassVar[dict[str, type["OutputMeasure"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        OutputMeasure.all[cls.kind] = cls

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        """Create a measure of the output at ``place``. ``source``: all outputs of the source for each frame.

        Raises InputError if the source's outputs can't be measured.
        """
        self._place = place

    @abstractmethod
    def sample(self, source: Answer, candidate: Answer) -> Sample:
        """Return the sample of one frame, a few finite numbers."""

    @classmethod
    @abstractmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        """Return the points lost, (n,), for n sets of frames, given their samples, (n, frames, numbers)."""


class Variance:
    """Variance of an output over frames, by channel, relative to which errors are computed.

    Squared errors are divided by the channel's variance; all channels have the same weight. The source's output has an
    error of 0. A constant output has 1 or more, and so has one that is shifted or scaled by as much as the source
    varies.
    """

    def __init__(self, tensors: Sequence[np.ndarray]) -> None:
        self._same = len({tensor.shape for tensor in tensors}) == 1 and len(tensors) > 1
        flat = [_split_channels(tensor) for tensor in tensors]
        self._mean: np.ndarray | None = np.mean(flat, axis=0) if self._same else None
        centres = [one.mean(axis=0, keepdims=True) if self._mean is None else self._mean for one in flat]
        parts = [np.square(one - centre).mean(axis=0) for one, centre in zip(flat, centres, strict=True) if one.size]
        size = max((float(np.square(one).mean()) for one in flat if one.size), default=0.0)
        variance = np.mean(parts, axis=0) if self._same else np.array([np.mean([part.mean() for part in parts] or [0])])
        self.mean = float(np.mean(variance)) if variance.size else 0.0
        self.is_constant = self.mean <= _TINY * size * _TINY
        # Integers can't differ by less than one.
        least = _STEP if all(np.issubdtype(tensor.dtype, np.integer) for tensor in tensors) else 0.0
        self._variance = np.maximum(variance, max(_FLOOR * self.mean, least, float(np.finfo(np.float32).tiny)))

    def compute_error(self, source: np.ndarray, candidate: np.ndarray) -> float:
        """Return the candidate's squared error over the variance, at most 1; 1 for another shape, NaN or infinity."""
        if source.shape != candidate.shape:
            return 1.0
        if not source.size:
            return 0.0
        before, after = _split_channels(source), _split_channels(candidate)
        if not np.isfinite(after).all():
            return 1.0
        return float(min(1.0, (np.square(after - before).mean(axis=0) / self._variance).mean()))


def _split_channels(tensor: np.ndarray) -> np.ndarray:
    """Return a tensor as (places, channels).

    The channels of a map are its first or its last axis, whichever is smaller. Each number of a vector is a channel.
    """
    values = tensor.astype(np.float64)
    while values.ndim > 1 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[0] < values.shape[2]:
        values = np.moveaxis(values, 0, -1)
    return values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)


def compute_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each number along the last axis, from 0; equal numbers share their mean rank."""
    order = np.sort(values, axis=-1)
    if values.ndim == 1:
        return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right") - 1) / 2
    return np.stack([compute_ranks(row) for row in values])


def correlate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation along the last axis; 0 if one of the two is constant."""
    a, b = (values - values.mean(axis=-1, keepdims=True) for values in (first, second))
    lengths = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    return np.where(lengths > 0, (a * b).sum(axis=-1) / np.where(lengths > 0, lengths, 1), 0.0)
