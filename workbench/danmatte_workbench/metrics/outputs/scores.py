"""Class scores: the first class, whether it is among the first five, and the order of all."""

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

FIRST = 0  # place in a sample: share of choices that differ from the source's
_TOP = 5
_LEAST = 0.01  # of the highest probability
_NEARLY = 0.5  # of the first class's probability: from here on, the source nearly chose the class
_NEAR_CHARGE = 0.25  # weight of choosing such a class, as of pixels near outlines: it is right as often as the first


class ScoresMeasure(OutputMeasure):
    """The largest of four losses.

    They are: the share of frames with another first class, the share of frames in which the source's first class isn't
    among the candidate's first five, 1 − rank correlation over the classes, and the unexplained variance over frames.

    Choosing a class that the source rates at least half as likely as its first counts for a quarter. In outputs with
    several choices, such as the characters of a line, every choice has the same weight.
    """

    kind = "scores"
    limit = 5.0
    about = "top-1 and top-5 agreement, rank correlation of the classes, and explained variance"

    def __init__(self, source: Sequence[Answer], place: int) -> None:
        super().__init__(source, place)
        self._variance = Variance([answer[place] for answer in source])
        if self._variance.is_constant and len(source) > 1:
            raise InputError("the source gives the same scores for every frame; expected trained weights")

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
    """Return a row of scores for each choice: one row for most outputs, one for each position in a line of text."""
    return scores.reshape(-1, scores.shape[-1]) if scores.ndim == 3 and scores.shape[-1] > 1 else scores.reshape(1, -1)


def _compare_row(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float, float]:
    """Return whether the first class differs, the weight of that, whether the source's isn't among the first five, and
    1 − rank correlation, at most 1.
    """
    # A tied score isn't first. Otherwise, equal scores for all classes would count as a choice.
    first = int(before.argmax())
    ahead = int((after > after[first]).sum())
    tied = int((after == after[first]).sum()) - 1
    missed = ahead > 0 or (before == before[first]).sum() - 1 < tied
    charge = _NEAR_CHARGE if missed and ahead and _was_near(before, int(after.argmax())) else float(missed)
    five = float(ahead + tied >= min(_TOP, before.size - 1))
    # The order of probabilities near zero is noise.
    likely = before >= _LEAST * before.max() if before.min() >= 0 else np.full(before.shape, True)
    enough = likely.sum() > _TOP  # with fewer classes, the first and the first five show the order
    order = 1 - float(correlate(compute_ranks(before[likely]), compute_ranks(after[likely]))) if enough else 0.0
    return float(missed), charge, five, min(1.0, order)


def _was_near(scores: np.ndarray, other: int) -> bool:
    """Return whether a class is nearly as likely as the first; negative scores count as log probabilities."""
    if scores.min() < 0:
        return bool(scores.max() - scores[other] <= -np.log(_NEARLY))
    return bool(scores[other] >= _NEARLY * scores.max())
