"""Views show pieces of the frames with their masks in place, and what is known of them."""

import numpy as np
import pytest

from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON, LabelledFrame
from danmatte_workbench.distillation.views import ViewSampler, mix_truth


def frame(*, truth: bool) -> LabelledFrame:
    """A white rectangle on black, which is the person."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[60:160, 100:220] = 255
    mask = np.where(pixels[..., 0] > 0, PERSON, BACKGROUND).astype(np.uint8)
    return LabelledFrame("frame", pixels, mask if truth else None)


def test_pictures_and_masks_stay_together() -> None:
    views = ViewSampler((frame(truth=True),), (65, 97), 0.7)
    for seed in range(20):
        view = views(np.random.default_rng(seed))
        assert view.picture.shape == (1, 65, 97, 3)
        seen = view.picture[0].astype(int).mean(axis=2)
        middle = (seen.max() + seen.min()) / 2
        if view.truth.max() == view.truth.min():
            continue
        assert ((seen > middle) == (view.truth == PERSON)).mean() > 0.95


def test_frames_without_masks_say_nothing() -> None:
    view = ViewSampler((frame(truth=False),), (65, 65), 0.7)(np.random.default_rng(0))
    assert (view.truth == IGNORE).all()


def test_the_same_draw_gives_the_same_view() -> None:
    views = ViewSampler((frame(truth=True),), (65, 65), 0.7)
    first, second = (views(np.random.default_rng(3)) for _ in range(2))
    assert (first.picture == second.picture).all()


def test_what_is_known_is_mixed_into_what_is_believed() -> None:
    truth = np.full((65, 65), BACKGROUND, np.uint8)
    truth[:, 32:] = PERSON
    truth[40:] = IGNORE
    belief = np.full((17, 17), 0.4, np.float32)
    mixed = mix_truth(truth, belief, 0.5)
    assert mixed[2, 2] == pytest.approx(0.2, abs=0.01)
    assert mixed[2, 14] == pytest.approx(0.7, abs=0.01)
    assert mixed[15, 14] == pytest.approx(0.4)
    assert mix_truth(truth, belief, 0.0) == pytest.approx(belief)
