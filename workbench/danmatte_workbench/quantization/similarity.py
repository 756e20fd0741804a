"""How similar a graph's answers are to a truth, frame by frame, from 0 to 1: what accuracy control looks at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte_workbench.dataset import IGNORE, PERSON, LabelledFrame

Run = Callable[[np.ndarray], Sequence[np.ndarray]]  # a picture to all of a graph's answers


@dataclass(frozen=True)
class SimilarityJudge:
    """Masks against the frames' own where all have one, otherwise all answers against those of ``reference``.

    pictures: the frames as the graph takes them. grid: where probabilities lie; None for answers that are no mask.
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
        """One figure for each of the frames with these numbers."""
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
    """The judge on these frames for a graph that takes pictures of ``size``, (height, width)."""
    framing = replace(framing, size=size)
    return SimilarityJudge(
        samples, [framing.fit_exactly(sample.pixels) for sample in samples], framing, grid, reference
    )


def compute_overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two boolean masks; 1 where neither has a person."""
    either = int((mask | truth).sum())
    return int((mask & truth).sum()) / either if either else 1.0


def compute_similarity(truth: np.ndarray, answer: np.ndarray) -> float:
    """The share of equal values for classes, the cosine for anything else; 0 for another shape, as that of fewer boxes,
    and for what is no number.
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
