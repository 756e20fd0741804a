"""Reference outputs that are stored with a version, so that a server can check whether its CPU reproduces them."""

from collections.abc import Iterable

import cv2
import numpy as np

from danmatte.contract.stored_answers import StoredAnswers
from danmatte_workbench.dataset import Dataset, LabelledFrame
from danmatte_workbench.metrics.subject import Subject

SIDE = 224  # maximum side of a stored picture: enough for a mask, and the file stays small
STORED, LOOKED_AT = 4, 24
TELLING = (0.02, 0.7)  # range of a person's share in a picture: within it there is an outline that can differ


def store_answers(subject: Subject, data: Dataset) -> bytes:
    """Run the subject on a few frames and return the content of ``answers.json``.

    subject: an IR whose output is the probability of a person.
    """
    run = subject.load()

    def ask(picture: np.ndarray) -> np.ndarray:
        return np.array(run(picture)[0, ..., 0])

    pictures = [_shrink(frame) for frame in data.pick(LOOKED_AT)]
    shares = [float((ask(subject.framing.fit_exactly(item)) > 0.5).mean()) for item in pictures]
    return StoredAnswers.make((pictures[number] for number in choose_telling(shares)), subject.framing, ask).encode()


def choose_telling(shares: Iterable[float]) -> list[int]:
    """Return the indices of the pictures to store, given each one's share of person: those within `TELLING` first."""
    low, high = TELLING
    numbers = {number: low <= share <= high for number, share in enumerate(shares)}
    return sorted(sorted(numbers, key=lambda number: not numbers[number])[:STORED])


def _shrink(frame: LabelledFrame) -> np.ndarray:
    height, width = frame.pixels.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(frame.pixels, size, interpolation=cv2.INTER_AREA))
