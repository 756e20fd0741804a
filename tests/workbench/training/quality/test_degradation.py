"""Damage grows with its strength, and is the same for the same seed."""

import numpy as np
import pytest

from danmatte_workbench.training.quality import degradation
from danmatte_workbench.training.quality.degradation import DEGRADATIONS, SHARES, Picture, degrade, encode
from danmatte_workbench.training.quality.likeness import compute_likeness


@pytest.mark.parametrize("kind", DEGRADATIONS)
def test_likeness_falls_with_the_strength_of_damage(kind: str, scene: Picture) -> None:
    def damage(strength: float) -> float:
        return compute_likeness(scene, DEGRADATIONS[kind](scene, strength, np.random.default_rng(1)))

    likenesses = [damage(strength) for strength in (0.0, 0.35, 0.7, 1.0)]
    assert likenesses == sorted(set(likenesses), reverse=True)
    assert likenesses[0] > 0.97
    assert likenesses[-1] < 0.95


def test_every_kind_of_damage_has_a_share() -> None:
    assert SHARES.keys() == DEGRADATIONS.keys()
    assert sum(SHARES.values()) == pytest.approx(1)


def test_shrinking_is_never_trained_on(scene: Picture) -> None:
    assert not [kind for kind in DEGRADATIONS if "shrink" in kind]
    less = [compute_likeness(scene, degradation.shrink(scene, factor)) for factor in (1.0, 1.5, 3.0)]
    assert less == sorted(set(less), reverse=True)
    assert less[0] > 0.999


def test_a_degraded_series_starts_with_the_picture_and_gets_worse(scene: Picture) -> None:
    for seed in range(6):
        likenesses = [compute_likeness(scene, worse) for worse in degrade(scene, 3, np.random.default_rng(seed))]
        assert len(likenesses) == 4
        assert likenesses[0] > likenesses[2] > likenesses[3]


def test_the_same_seed_gives_the_same_damage(scene: Picture) -> None:
    one, other = (degrade(scene, 2, np.random.default_rng(4)) for _ in range(2))
    assert all((first == second).all() for first, second in zip(one, other, strict=True))


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"crf": "20"}), ("mpeg2video", {"q": "4"})])
def test_a_codec_returns_every_picture_in_order(codec: str, options: dict[str, str], scene: Picture) -> None:
    given = [np.roll(scene, 2 * at, axis=1) for at in range(5)]
    received = encode(given, codec, options)
    assert len(received) == 5
    for before, after in zip(given, received, strict=True):
        assert compute_likeness(before, after) > 0.95
