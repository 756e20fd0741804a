"""Tests that every measure of outputs must pass: an almost equal model passes the default limit, a ruined one doesn't.

A new measure is one line in `SOURCES`.
"""

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import pytest

from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics.outputs import OutputMeasure
from danmatte_workbench.metrics.outputs.base import Answer

Answers: TypeAlias = list[Answer]
Make: TypeAlias = Callable[[np.random.Generator], Answer]
FRAMES = 24


def make_regions(rng: np.random.Generator) -> Answer:
    """Return two maps with soft boxes of text."""
    maps = np.zeros((1, 2, 40, 60), np.float32)
    for channel in maps[0]:
        for _ in range(3):
            left, top = int(rng.integers(0, 40)), int(rng.integers(0, 32))
            cv2.rectangle(channel, (left, top), (left + 18, top + 6), 0.95, -1)
        channel[:] = cv2.GaussianBlur(channel, (3, 3), 0)
    return (maps,)


def make_boxes(rng: np.random.Generator) -> Answer:
    """Return eight boxes of two classes in descending order of score, like SSD's post-processing."""
    corners = rng.uniform(0, 0.6, (8, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.15, 0.35, (8, 2))], axis=1)
    scores = np.sort(rng.uniform(0.35, 0.99, 8))[::-1]
    parts = boxes[None], rng.integers(0, 2, (1, 8)), scores[None]
    return tuple(part.astype(np.float32) for part in parts)


def make_softmax(rng: np.random.Generator) -> Answer:
    logits = rng.normal(0, 3, (1, 20))
    return ((np.exp(logits) / np.exp(logits).sum()).astype(np.float32),)


def make_selection(rng: np.random.Generator) -> Answer:
    """Return forty boxes with scores of two classes and a selection of five, like ONNX' NonMaxSuppression."""
    corners = rng.uniform(0, 0.6, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(0.15, 0.35, (40, 2))], axis=1)
    numbers = rng.choice(40, 5, replace=False)
    selected = np.stack([np.zeros(5), rng.integers(0, 2, 5), numbers], axis=1)
    return boxes[None].astype(np.float32), selected.astype(np.int64), rng.uniform(0.4, 1, (1, 2, 40))


def make_line(rng: np.random.Generator) -> Answer:
    """Return scores of six characters, each a choice among twenty."""
    logits = rng.normal(0, 3, (1, 6, 20))
    return ((np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).astype(np.float32),)


SOURCES: dict[str, tuple[str, Make]] = {
    "scores, logits": ("scores", lambda rng: (rng.normal(0, 3, (1, 20)).astype(np.float32),)),
    "scores, softmax": ("scores", make_softmax),
    "scores, labelled": ("labelled scores", make_softmax),
    "scores of a line": ("scores", make_line),
    "regression": ("regression", lambda rng: (rng.uniform(2.5, 5.4, (1, 1)).astype(np.float32),)),
    "regression about nought": ("regression", lambda rng: (rng.normal(0, 1, (1,)).astype(np.float32),)),
    "boxes": ("boxes", make_boxes),
    "boxes, labelled": ("labelled boxes", make_boxes),
    "boxes, selected": ("boxes", make_selection),
    "regions": ("regions", make_regions),
    "embedding": ("embedding", lambda rng: (rng.gamma(2, 1, (1, 64)).astype(np.float32),)),
    "tensor": ("tensor", lambda rng: (rng.normal(5, 2, (1, 12, 10, 8)).astype(np.float32),)),
    "tensor of channels unlike": (
        "tensor",
        lambda rng: ((rng.normal(0, 1, (1, 12, 10, 4)) * [1, 10, 100, 1000]).astype(np.float32),),
    ),
    "tensor of bytes": ("tensor", lambda rng: (rng.integers(0, 256, (1, 12, 10, 8), dtype=np.uint8),)),
}


def change(answers: Answers, first: Callable[[np.ndarray], np.ndarray]) -> Answers:
    """Apply the same change to the first output of every frame; keep further outputs."""
    return [(first(answer[0].astype(np.float32)), *answer[1:]) for answer in answers]


def average(answers: Answers) -> np.ndarray:
    return np.mean([answer[0].astype(np.float64) for answer in answers], axis=0).astype(np.float32)


def spread(answers: Answers) -> float:
    return float(np.std([answer[0].astype(np.float64) for answer in answers]))


def zero_half(values: np.ndarray) -> np.ndarray:
    """Return every second channel; a single number unchanged."""
    changed = values.copy()
    if changed.ndim == 4 and changed.shape[1] < changed.shape[3]:
        changed[:, ::2] = 0
    else:
        changed[..., ::2] = 0
    return changed


RUINS: dict[str, Callable[[Answers], Answers]] = {
    "constant, the mean": lambda answers: change(answers, lambda values: average(answers)),
    "constant, the first frame's": lambda answers: [answers[0]] * len(answers),
    "constant, nought": lambda answers: change(answers, np.zeros_like),
    "shifted": lambda answers: change(answers, lambda values: values + 0.5 * spread(answers)),
    "scaled up": lambda answers: change(answers, lambda values: 1.5 * values),
    "scaled down": lambda answers: change(answers, lambda values: 0.25 * values),
    "turned round": lambda answers: change(answers, lambda values: -values),
    "frames permuted": lambda answers: answers[1:] + answers[:1],
    "channels permuted": lambda answers: change(answers, lambda values: np.roll(values, 1, -1)),
    "half of it nought": lambda answers: change(answers, zero_half),
    "not a number": lambda answers: change(answers, lambda values: np.full_like(values, np.nan)),
    "one frame in four not a number": lambda answers: [
        answer if number % 4 else change([answer], lambda values: np.full_like(values, np.nan))[0]
        for number, answer in enumerate(answers)
    ],
    "another shape": lambda answers: change(answers, lambda values: np.ones((1, values.size + 4), np.float32)),
}  # fmt: skip


def test_every_measure_is_in_this_suite() -> None:
    assert set(OutputMeasure.all) == {kind for kind, _ in SOURCES.values()}


@pytest.fixture(params=SOURCES)
def case(request: pytest.FixtureRequest) -> tuple[str, Answers]:
    kind, make = SOURCES[request.param]
    rng = np.random.default_rng(3)
    return kind, [make(rng) for _ in range(FRAMES)]


def lose(kind: str, source: Answers, candidate: Answers) -> float:
    """Return the loss in points over all frames."""
    measure = OutputMeasure.all[kind](source, 0)
    samples = np.array([measure.sample(*pair) for pair in zip(source, candidate, strict=True)])
    assert np.isfinite(samples).all()
    (points,) = measure.compute(samples[None])
    assert 0 <= points <= 100.001
    return float(points)


def test_the_source_has_no_loss_against_itself(case: tuple[str, Answers]) -> None:
    kind, answers = case
    assert lose(kind, answers, answers) == pytest.approx(0, abs=1e-9)


def test_an_almost_equal_model_is_within_the_limit(case: tuple[str, Answers]) -> None:
    kind, answers = case
    rng, noise = np.random.default_rng(1), 0.01 * spread(answers)
    near = change(answers, lambda values: values + rng.normal(0, noise, values.shape).astype(np.float32))
    assert lose(kind, answers, near) <= OutputMeasure.all[kind].limit


@pytest.mark.parametrize("ruin", RUINS)
def test_every_ruined_model_is_rejected(case: tuple[str, Answers], ruin: str) -> None:
    kind, answers = case
    if ruin == "channels permuted" and answers[0][0].size == 1:
        pytest.skip("a single number has no order")
    assert lose(kind, answers, RUINS[ruin](answers)) > 1.2 * OutputMeasure.all[kind].limit


def test_loss_grows_with_noise(case: tuple[str, Answers]) -> None:
    kind, answers = case
    losses = []
    for share in (0.0, 0.05, 0.4):
        rng, noise = np.random.default_rng(1), share * spread(answers)
        spoilt = change(answers, lambda values: values + rng.normal(0, noise, values.shape).astype(np.float32))  # noqa: B023
        losses.append(lose(kind, answers, spoilt))
    assert losses[0] < losses[1] < losses[2]


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("regression", (np.ones((1, 1), np.float32),)),
        ("scores", (np.array([[0.2, 0.5, 0.3]], np.float32),)),
        ("labelled scores", (np.array([[0.2, 0.5, 0.3]], np.float32),)),
        ("embedding", (np.array([[0.6, 0.0, 0.8]], np.float32),)),
        ("regions", (np.zeros((1, 8, 8, 1), np.float32),)),
        ("boxes", (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))),
    ],
)
def test_outputs_that_do_not_distinguish_models_are_refused(kind: str, answer: Answer) -> None:
    with pytest.raises(InputError, match=r"the source (gives|finds)"):
        OutputMeasure.all[kind]([answer] * 5, 0)
