"""The answers that are stored with a version, so that a server sees whether its CPU gives the same."""

from collections.abc import Iterable

import cv2
import numpy as np

from danmatte.contract.stored_answers import StoredAnswers
from danmatte_workbench.dataset import Dataset, LabelledFrame
from danmatte_workbench.metrics.subject import Subject

SIDE = 224  # of a stored picture: large enough for a mask, small enough for a manifest's neighbour
STORED, LOOKED_AT = 4, 24
TELLING = (0.02, 0.7)  # the share of a picture that is person, where an outline can move


def store_answers(subject: Subject, data: Dataset) -> bytes:
    """The contents of ``answers.json`` for the subject, an IR of a person's probability: runs it on a few frames."""
    run = subject.load()

    def ask(picture: np.ndarray) -> np.ndarray:
        return np.array(run(picture)[0, ..., 0])

    pictures = [_shrink(frame) for frame in data.pick(LOOKED_AT)]
    shares = [float((ask(subject.framing.fit_exactly(item)) > 0.5).mean()) for item in pictures]
    return StoredAnswers.make((pictures[number] for number in choose_telling(shares)), subject.framing, ask).encode()


def choose_telling(shares: Iterable[float]) -> list[int]:
    """Which pictures are stored, by the share of each that is person: those with an outline first."""
    low, high = TELLING
    numbers = {number: low <= share <= high for number, share in enumerate(shares)}
    return sorted(sorted(numbers, key=lambda number: not numbers[number])[:STORED])


def _shrink(frame: LabelledFrame) -> np.ndarray:
    height, width = frame.pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA))
