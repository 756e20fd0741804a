"""Class scores: which class is first, whether it is among five, and the order of all."""

from collections.abc import Sequence

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.outputs.base import (
    WHOLE,
    Answer,
    OutputMeasure,
    Sample,
    Variance,
    compute_ranks,
    correlate,
)

FIRST = 0  # of a sample: the share of choices that are others than the source's
_MOST = 5
_LEAST = 0.01  # of the highest probability
_NEARLY = 0.5  # of the first class's probability: who has so much was nearly chosen
_NEAR_CHARGE = 0.25  # of such a choice, as of pixels along outlines: it is as often better as worse


class ScoresMeasure(OutputMeasure):
    """The worst of: frames whose first class is another, frames whose first class isn't among five, 1 − rank
    correlation over the classes, and the variance over the frames that isn't explained.

    Another class that the source holds for at least half as likely as its first counts for a quarter. Outputs that
    choose many times over, as a line's characters, count each choice alike.
    """

    kind = "scores"
    limit = 5.0
    about = "top-1 and top-5 agreement, rank correlation of the classes, and explained variance"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        self._variance = Variance([answer[place] for answer in source])
        if self._variance.is_constant and len(source) > 1:
            raise InputError("the source gives the same scores for every frame; it needs trained weights")

    def sample(self, source: Answer, candidate: Answer) -> Sample:
        before, after = (answer[self._place].astype(np.float64) for answer in (source, candidate))
        if before.shape != after.shape or not np.isfinite(after).all() or not after.size:
            return 1.0, 1.0, 1.0, 1.0, 1.0
        rows = zip(_split_rows(before), _split_rows(after), strict=True)
        first, charged, five, order = np.mean([_compare_row(one, other) for one, other in rows], axis=0)
        error = self._variance.compute_error(source[self._place], candidate[self._place])
        return float(first), float(charged), float(five), float(order), error

    @classmethod
    def compute(cls, samples: np.ndarray) -> np.ndarray:
        return np.asarray(WHOLE * samples[..., FIRST + 1 :].mean(axis=1).max(axis=1))


def _split_rows(scores: np.ndarray) -> np.ndarray:
    """Each choice among classes as a row: one for most outputs, one for each place in a line of text."""
    return scores.reshape(-1, scores.shape[-1]) if scores.ndim == 3 and scores.shape[-1] > 1 else scores.reshape(1, -1)


def _compare_row(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float, float]:
    """Whether the first class is another, what that counts for, whether the source's isn't among five; and 1 − rank
    correlation, at most 1.
    """
    # Of equal scores none is first: an answer that is the same for all classes chooses none.
    first = int(before.argmax())
    ahead = int((after > after[first]).sum())
    tied = int((after == after[first]).sum()) - 1
    missed = ahead > 0 or (before == before[first]).sum() - 1 < tied
    charge = _NEAR_CHARGE if missed and ahead and _was_near(before, int(after.argmax())) else float(missed)
    five = float(ahead + tied >= min(_MOST, before.size - 1))
    # The order of probabilities that are next to nothing is noise.
    told = before >= _LEAST * before.max() if before.min() >= 0 else np.full(before.shape, True)
    enough = told.sum() > _MOST  # of few classes, the first and the five tell the order
    order = 1 - float(correlate(compute_ranks(before[told]), compute_ranks(after[told]))) if enough else 0.0
    return float(missed), charge, five, min(1.0, order)


def _was_near(scores: np.ndarray, other: int) -> bool:
    """Whether the class has nearly as much as the first one; scores below zero are logarithms of probabilities."""
    if scores.min() < 0:
        return bool(scores.max() - scores[other] <= -np.log(_NEARLY))
    return bool(scores[other] >= _NEARLY * scores.max())
