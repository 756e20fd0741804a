"""Similarity of a graph's outputs to a truth, per frame, from 0 to 1, for accuracy control."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte_workbench.dataset import IGNORE, PERSON, LabelledFrame

Run = Callable[[np.ndarray], Sequence[np.ndarray]]  # from a picture to all outputs of a graph


@dataclass(frozen=True)
class SimilarityJudge:
    """Compares masks with the frames' own if all have one, otherwise all outputs with those of ``reference``.

    pictures: the frames as the graph takes them. grid: where probabilities lie; None if the output is no mask.
    """

    samples: Sequence[LabelledFrame]
    pictures: Sequence[np.ndarray]
    framing: Framing
    grid: Grid | None
    reference: Run

    @property
    def has_labels(self) -> bool:
        """Whether the frames' own masks are the truth."""
        return self.grid is not None and all(sample.truth is not None for sample in self.samples)

    def judge(self, run: Run, numbers: Sequence[int]) -> list[float]:
        """Return one figure for each of the frames with these numbers."""
        return [self._judge_frame(number, run(self.pictures[number])) for number in numbers]

    def _judge_frame(self, number: int, answers: Sequence[np.ndarray]) -> float:
        if self.grid is None:
            return min(map(compute_similarity, self.reference(self.pictures[number]), answers))
        truth = self.samples[number].truth
        if not self.has_labels or truth is None:
            return compute_overlap(answers[0] > 0.5, self.reference(self.pictures[number])[0] > 0.5)
        mask = self.framing.compute_hard_mask(answers[0][0, ..., 0], self.grid, truth.shape[:2], truth.shape[:2], 0.5)
        return compute_overlap(mask & (truth != IGNORE), truth == PERSON)


def make_judge(
    samples: Sequence[LabelledFrame], framing: Framing, size: tuple[int, int], grid: Grid | None, reference: Run
) -> SimilarityJudge:
    """Return the judge on these frames for a graph that takes pictures of ``size``, (height, width)."""
    framing = replace(framing, size=size)
    return SimilarityJudge(
        samples, [framing.fit_exactly(sample.pixels) for sample in samples], framing, grid, reference
    )


def compute_overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Return the intersection over union of two boolean masks; 1 if both are empty."""
    either = int((mask | truth).sum())
    return int((mask & truth).sum()) / either if either else 1.0


def compute_similarity(truth: np.ndarray, answer: np.ndarray) -> float:
    """Return the share of equal values for whole numbers, and the cosine for others.

    It is 0 for different shapes, such as fewer boxes, and for values that aren't finite.
    """
    if truth.shape != answer.shape or not np.isfinite(answer).all():
        return 0.0
    if not truth.size:
        return 1.0
    if truth.dtype.kind in "iub":
        return float((truth == answer).mean())
    a, b = (values.astype(np.float64).ravel() for values in (truth, answer))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(np.array_equal(a, b))
