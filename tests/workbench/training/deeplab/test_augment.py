"""Training views: a function of their seed alone, and still true."""

import numpy as np
import pytest

from danmatte_workbench.training.deeplab.augment import EDGE_GAIN, FULL_WEIGHT, Scene, View, look, paste
from tests.workbench import tiny

VIEW = View(side=97, nearest=1.6, farthest=0.5, lean=0.2)


def scene(seed: int, *, people: int = 1) -> Scene:
    pixels, target = tiny.scene(seed, 200, 150, people=people)
    return Scene(pixels, target, np.full(target.shape, FULL_WEIGHT, np.uint8))


def views(seed: int) -> list[np.ndarray]:
    """Everything that a seed decides."""
    rng = np.random.default_rng(seed)
    pasted = paste(scene(1), [scene(2), scene(3)], rng)
    return [pasted.pixels, pasted.target, pasted.weight, *look(pasted, VIEW, rng)]


@pytest.mark.parametrize("seed", range(6))
def test_the_same_seed_gives_the_same_view(seed: int) -> None:
    for first, second in zip(views(seed), views(seed), strict=True):
        assert np.array_equal(first, second)


def test_other_seeds_give_other_views() -> None:
    kept = [views(seed)[3] for seed in range(8)]
    assert all(not np.array_equal(a, b) for number, a in enumerate(kept) for b in kept[:number])


def test_the_scene_itself_stays_as_it_was() -> None:
    given = scene(1)
    before = given.pixels.copy(), given.target.copy(), given.weight.copy()
    paste(given, [scene(2)], np.random.default_rng(0))
    look(given, VIEW, np.random.default_rng(0))
    for now, then in zip((given.pixels, given.target, given.weight), before, strict=True):
        assert np.array_equal(now, then)


def test_the_target_moves_with_the_pixels() -> None:
    """A white person before black stays brighter than what is around, wherever a view puts it."""
    _, target = tiny.scene(5, 200, 150)
    white = Scene(np.repeat(target[..., None], 3, axis=2), target, np.full(target.shape, FULL_WEIGHT, np.uint8))
    seen = 0
    for seed in range(40):
        pixels, planes = look(white, View(97, 1.2, 0.8, 0.1), np.random.default_rng(seed))
        assert pixels.shape == (97, 97, 3)
        assert planes.shape == (97, 97, 2)
        person, rest = planes[..., 0] > 200, planes[..., 0] < 50
        if person.sum() > 50 and rest.sum() > 50:
            seen += 1
            assert np.median(pixels[person]) > np.median(pixels[rest]) + 50
    assert seen >= 15


def test_ignored_pixels_stay_ignored_and_edges_count_more() -> None:
    target = np.zeros((97, 97), np.uint8)
    target[:, :48] = 255
    ignored = Scene(np.zeros((97, 97, 3), np.uint8), target, np.zeros_like(target))
    trusted = Scene(ignored.pixels, target, np.full_like(target, FULL_WEIGHT))
    for seed in range(10):
        weight = look(ignored, View(97, 1.0, 1.0, 0.0), np.random.default_rng(seed))[1][..., 1]
        assert (weight == 0).mean() > 0.5
        weight = look(trusted, View(97, 1.0, 1.0, 0.0), np.random.default_rng(seed))[1][..., 1]
        assert set(np.unique(weight)) <= {FULL_WEIGHT, FULL_WEIGHT * (1 + EDGE_GAIN)}


def test_a_pasted_person_is_in_the_target() -> None:
    empty = scene(1, people=0)
    pasted = paste(empty, [scene(2)], np.random.default_rng(3))
    changed = (pasted.pixels != empty.pixels).any(axis=2)
    assert pasted.target.any()
    assert not (changed & (pasted.target == 0)).any()
