"""What a measure of outputs is, and the errors that no offset and no scale can hide."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, TypeAlias

import numpy as np

Answer: TypeAlias = tuple[np.ndarray, ...]
Sample: TypeAlias = tuple[float, ...]
WHOLE = 100.0  # points: nothing of the source is left
_FLOOR = 0.01  # of the channels' mean variance: those that vary less count as if they varied so much
_STEP = 1.0  # squared, of whole numbers
_TINY = 1e-6  # of the mean square: what is taken for no variance at all


class OutputMeasure(ABC):
    """How much of one output of the source a candidate loses, in points from 0 to 100 and lower is better.

    A measure is made for one output of the source from what that answers to all frames. Each frame gives a sample of a
    few numbers, and the loss is computed from the samples of any frames. No constant answer passes, nor one that is
    shifted or scaled.

    kind: the word for such outputs. limit: the points that may be lost unless told otherwise. about: what is compared.
    """

    kind: ClassVar[str]
    limit: ClassVar[float]
    about: ClassVar[str]
    all: ClassVar[dict[str, type["OutputMeasure"]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        OutputMeasure.all[cls.kind] = cls

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        """``source`` are all outputs for each frame, of which the one at ``place`` is measured.

        Raises InputError where the source's answers can't tell anything.
        """
        self._place = place

    @abstractmethod
    def sample(self, source: Answer, candidate: Answer) -> Sample:
        """What one frame tells, as few numbers that are finite."""

    @classmethod
    @abstractmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        """Points lost, (n,), from n times the samples of some frames, (n, frames, numbers)."""


class Variance:
    """How an output varies over frames, channel by channel, so that an error is told in parts of that.

    Errors are squared and divided by the variance, and channels count alike: 0 is the source's own answer, and an
    answer that never changes has 1 or more, as has one that is shifted or scaled by what the source varies.
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
        # An output of whole numbers can't say less than one.
        least = _STEP if all(np.issubdtype(tensor.dtype, np.integer) for tensor in tensors) else 0.0
        self._variance = np.maximum(variance, max(_FLOOR * self.mean, least, float(np.finfo(np.float32).tiny)))

    def compute_error(self, source: np.ndarray, candidate: np.ndarray) -> float:
        """The candidate's squared error in parts of the variance, from 0 to 1; 1 for another shape and for NaN."""
        if source.shape != candidate.shape:
            return 1.0
        if not source.size:
            return 0.0
        before, after = _split_channels(source), _split_channels(candidate)
        if not np.isfinite(after).all():
            return 1.0
        return float(min(1.0, (np.square(after - before).mean(axis=0) / self._variance).mean()))


def _split_channels(tensor: np.ndarray) -> np.ndarray:
    """(places, channels): the smaller side of a map's first and last is its channels, and a row's numbers are."""
    values = tensor.astype(np.float64)
    while values.ndim > 1 and values.shape[0] == 1:
        values = values[0]
    if values.ndim == 3 and values.shape[0] < values.shape[2]:
        values = np.moveaxis(values, 0, -1)
    return values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)


def compute_ranks(values: np.ndarray) -> np.ndarray:
    """Each number's rank along the last axis, from 0; equal numbers have the mean of theirs."""
    order = np.sort(values, axis=-1)
    if values.ndim == 1:
        return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right") - 1) / 2
    return np.stack([compute_ranks(row) for row in values])


def correlate(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Pearson's correlation along the last axis; 0 where one of the two is constant."""
    a, b = (values - values.mean(axis=-1, keepdims=True) for values in (first, second))
    lengths = np.sqrt(np.square(a).sum(axis=-1) * np.square(b).sum(axis=-1))
    return np.where(lengths > 0, (a * b).sum(axis=-1) / np.where(lengths > 0, lengths, 1), 0.0)
