"""How like a truth a graph's answers are, frame by frame, from 0 to 1: what accuracy control looks at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte_workbench.dataset import IGNORE, PERSON, Sample

Answers = list[np.ndarray]
Run = Callable[[np.ndarray], Answers]


@dataclass(frozen=True)
class Likeness:
    """Masks against the frames' own where all have one, otherwise all answers against those of ``run``.

    pictures: the frames as the graph takes them. grid: where probabilities lie; None for answers that are no mask.
    """

    samples: Sequence[Sample]
    pictures: Sequence[np.ndarray]
    framing: Framing
    grid: Grid | None
    run: Run

    def judge(self, run: Run, numbers: Sequence[int]) -> list[float]:
        """One figure for each of the frames with these numbers."""
        return [self._figure(number, run(self.pictures[number])) for number in numbers]

    @property
    def labelled(self) -> bool:
        """Whether the frames' own masks are the truth."""
        return self.grid is not None and all(sample.truth is not None for sample in self.samples)

    def _figure(self, number: int, answers: Answers) -> float:
        if self.grid is None:
            return min(map(_similarity, self.run(self.pictures[number]), answers))
        if not self.labelled:
            return _overlap(answers[0] > 0.5, self.run(self.pictures[number])[0] > 0.5)
        truth = self.samples[number].truth
        assert truth is not None
        mask = self.framing.compute_hard_mask(answers[0][0, ..., 0], self.grid, truth.shape[:2], truth.shape[:2], 0.5)
        return _overlap(mask & (truth != IGNORE), truth == PERSON)


def of(samples: Sequence[Sample], framing: Framing, size: tuple[int, int], grid: Grid | None, run: Run) -> Likeness:
    """The likeness on these frames for a graph that takes pictures of ``size``, (height, width)."""
    framing = replace(framing, size=size)
    return Likeness(samples, [framing.fit_exactly(sample.pixels) for sample in samples], framing, grid, run)


def _overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union; 1 where neither has a person."""
    either = int((mask | truth).sum())
    return int((mask & truth).sum()) / either if either else 1.0


def _similarity(truth: np.ndarray, answer: np.ndarray) -> float:
    """The share of equal values for classes, the cosine for anything else."""
    if truth.dtype.kind in "iub":
        return float((truth == answer).mean())
    a, b = (values.astype(np.float64).ravel() for values in (truth, answer))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else float(np.array_equal(a, b))


def runner(compiled: Any) -> Run:
    """A compiled OpenVINO graph as a function from its input to copies of all its answers."""
    request = compiled.create_infer_request()

    def run(value: np.ndarray) -> Answers:
        results = request.infer({0: value}, share_inputs=True)
        return [np.array(results[number]) for number in range(len(compiled.outputs))]

    return run
