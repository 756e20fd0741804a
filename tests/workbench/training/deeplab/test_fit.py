"""Training steps: the same however one got there, and blind to what is ignored."""

import itertools
import threading

import numpy as np
import pytest

from danmatte_workbench.training.deeplab import fit
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT
from danmatte_workbench.training.deeplab.fit import Stage, matte_loss, views

STAGE = Stage("tiny", side=17, batch=2, steps=6, peak=1e-3)


class Noise:
    """Scenes of noise, drawn from the generator alone; remembers its threads."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def draw(self, side: int, lean: float, near_full: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        self.threads.add(threading.get_ident())
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        return pixels, rng.integers(0, 256, (side, side, 2), dtype=np.uint8)


def batches(start: int, seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(views(Noise(), STAGE, seed, start))


def test_every_step_has_its_batch() -> None:
    found = batches(0)
    assert len(found) == STAGE.steps
    assert {pixels.shape for pixels, _ in found} == {(2, 17, 17, 3)}
    assert min(pixels.min() for pixels, _ in found) >= -1
    assert max(pixels.max() for pixels, _ in found) <= 1


@pytest.mark.parametrize("start", [1, 4, 6])
def test_a_run_that_goes_on_sees_what_it_would_have_seen(start: int) -> None:
    for resumed, whole in zip(batches(start), batches(0)[start:], strict=True):
        for now, then in zip(resumed, whole, strict=True):
            assert np.array_equal(now, then)


def test_steps_and_seeds_differ() -> None:
    found = [pixels for pixels, _ in batches(0, seed=1) + batches(0, seed=2)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(found, 2))


def test_batches_are_made_ahead_on_another_thread() -> None:
    noise = Noise()
    next(views(noise, STAGE, 1, 0))
    assert threading.get_ident() not in noise.threads


# The loss


def loss(target: np.ndarray, weight: np.ndarray, margin: np.ndarray) -> float:
    logits = np.stack([np.zeros_like(margin), margin], axis=-1).astype(np.float32)
    return float(matte_loss(np.stack([target, weight], axis=-1).astype(np.float32), logits))


@pytest.fixture
def target() -> np.ndarray:
    target = np.zeros((1, 20, 20))
    target[0, 5:15, 5:15] = 255
    return target


def test_certainty_in_the_right_place_costs_nothing(target: np.ndarray) -> None:
    weight = np.full_like(target, FULL_WEIGHT)
    right = np.where(target > 0, 30.0, -30.0)
    assert loss(target, weight, right) < 1e-3 < loss(target, weight, 0 * right) < loss(target, weight, -right)


def test_the_loss_is_blind_to_what_is_ignored(target: np.ndarray) -> None:
    weight = np.full_like(target, FULL_WEIGHT)
    weight[0, :10] = 0
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 3, target.shape)
    other = np.where(weight > 0, margin, rng.normal(0, 3, target.shape))
    assert loss(target, weight, other) == pytest.approx(loss(target, weight, margin), rel=1e-5)


def test_nothing_trusted_is_no_loss(target: np.ndarray) -> None:
    assert loss(target, np.zeros_like(target), np.ones_like(target)) == 0


def test_stages_are_of_sizes_that_the_network_takes() -> None:
    assert all(stage.side % 16 == 1 and stage.steps > fit.WARM_UP for stage in fit.STAGES)
