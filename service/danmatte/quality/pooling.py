"""Pooling scores over time: a bad second in a minute counts more than its share.

Viewers remember the worst. So a video's score is half its mean and half the mean of its worst tenth, by time.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from danmatte.errors import InvalidParameterError

Grade: TypeAlias = Literal["A", "B", "C", "D", "E"]
GRADES: tuple[Grade, ...] = get_args(Grade)
MIN_SCORES = {"A": 75.0, "B": 60.0, "C": 45.0, "D": 30.0, "E": 0.0}
WORST_SHARE = 0.1
_LEFT_OF_STUTTER = 0.2  # share of a second's score that remains if all of it is frozen or dropped


def pool(scores: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the mean of two averages of scores, both weighted by seconds: of all, and of the worst tenth of the time.

    Raises ValueError if there are no scores, or if they don't match the seconds, which have to be positive.
    """
    values, spans = np.asarray(scores, np.float64), np.asarray(seconds, np.float64)
    if not len(values) or len(values) != len(spans) or (spans <= 0).any():
        raise ValueError(f"expected a score and more than 0 seconds each, received {len(values)} and {len(spans)}")
    order = np.argsort(values, kind="stable")
    values, spans = values[order], spans[order]
    ends = np.cumsum(spans)
    among = np.clip(WORST_SHARE * ends[-1] - (ends - spans), 0, spans)  # seconds of each in the worst tenth
    return float((np.average(values, weights=spans) + np.average(values, weights=among)) / 2)


def take_off_stutter(score: float, stuttering: float) -> float:
    """Return a score reduced for the share of its time, 0 to 1, that is frozen or dropped."""
    return score * (1 - (1 - _LEFT_OF_STUTTER) * min(1.0, max(0.0, stuttering)))


def choose_grade(score: float) -> Grade:
    """Return a score's grade: A looks like the original, E is badly damaged."""
    return next(grade for grade in GRADES if score >= MIN_SCORES[grade])


def format_score(score: float) -> str:
    """Return a score in whole points, rounded down, so that one just below a grade isn't shown as the grade's."""
    return str(int(score))


def read_grade(text: str) -> Grade:
    """Parse a grade, ignoring case; raises InvalidParameterError."""
    for grade in GRADES:
        if text.upper() == grade:
            return grade
    raise InvalidParameterError(f"grade: expected {', '.join(GRADES)}, received {text!r}")


def is_below(grade: Grade, wanted: Grade) -> bool:
    """Return whether a grade is worse than the wanted one."""
    return GRADES.index(grade) > GRADES.index(wanted)
