"""Scores over time: a second of ruin in a minute counts more than its share.

Viewers remember the worst. So what a video gets is half of its mean and half of the mean of its worst tenth, by time.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from danmatte.errors import InvalidParameterError

Grade: TypeAlias = Literal["A", "B", "C", "D", "E"]
GRADES: tuple[Grade, ...] = get_args(Grade)
LEAST = {"A": 75.0, "B": 60.0, "C": 45.0, "D": 30.0, "E": 0.0}  # score of each grade
WORST_SHARE = 0.1
_LEFT_OF_STUTTER = 0.2  # of a second's score when nothing in it moves that should


def pool(scores: Sequence[float], seconds: Sequence[float]) -> float:
    """One score of many: each counts for as long as it lasts, and the worst tenth of the time once more as much."""
    values, spans = np.asarray(scores, np.float64), np.asarray(seconds, np.float64)
    if not len(values) or len(values) != len(spans) or (spans <= 0).any():
        raise ValueError(f"expected a score and more than 0 seconds each, received {len(values)} and {len(spans)}")
    order = np.argsort(values, kind="stable")
    values, spans = values[order], spans[order]
    ends = np.cumsum(spans)
    among = np.clip(WORST_SHARE * ends[-1] - (ends - spans), 0, spans)  # seconds of each in the worst tenth
    return float((np.average(values, weights=spans) + np.average(values, weights=among)) / 2)


def take_off_stutter(score: float, stuttering: float) -> float:
    """The score of a second of which a share, 0 to 1, is frozen or skipped."""
    return score * (1 - (1 - _LEFT_OF_STUTTER) * min(1.0, max(0.0, stuttering)))


def choose_grade(score: float) -> Grade:
    """A for what looks like the original, E for ruin."""
    return next(grade for grade in GRADES if score >= LEAST[grade])


def format_score(score: float) -> str:
    """In whole points, rounded down: what just misses a grade isn't shown as if it had it."""
    return str(int(score))


def read_grade(text: str) -> Grade:
    """A grade as it is typed, in capitals or not; raises InvalidParameterError."""
    for grade in GRADES:
        if text.upper() == grade:
            return grade
    raise InvalidParameterError(f"grade: expected {', '.join(GRADES)}, received {text!r}")


def is_below(grade: Grade, wanted: Grade) -> bool:
    """Whether a grade is worse than the one that is wanted."""
    return GRADES.index(grade) > GRADES.index(wanted)
