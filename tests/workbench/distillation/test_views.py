"""Views are crops of the frames with matching masks, mixed with known truth."""

import numpy as np
import pytest

from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON, Dataset, LabelledFrame
from danmatte_workbench.distillation import views
from danmatte_workbench.distillation.views import ViewSampler, load_frames, mix_truth


def frame(*, truth: bool) -> LabelledFrame:
    """Return a white rectangle on black, which is the person."""
    pixels = np.zeros((200, 300, 3), np.uint8)
    pixels[60:160, 100:220] = 255
    mask = np.where(pixels[..., 0] > 0, PERSON, BACKGROUND).astype(np.uint8)
    return LabelledFrame("frame", pixels, mask if truth else None)


def test_the_mask_of_a_view_matches_its_picture() -> None:
    sampler = ViewSampler((frame(truth=True),), (65, 97), 0.7)
    compared = 0
    for seed in range(20):
        view = sampler(np.random.default_rng(seed))
        assert view.picture.shape == (1, 65, 97, 3)
        seen = view.picture[0].astype(int).mean(axis=2)
        middle = (seen.max() + seen.min()) / 2
        if view.truth.max() == view.truth.min():
            continue
        compared += 1
        assert ((seen > middle) == (view.truth == PERSON)).mean() > 0.95
    assert compared


def test_views_of_frames_without_masks_are_ignored_everywhere() -> None:
    view = ViewSampler((frame(truth=False),), (65, 65), 0.7)(np.random.default_rng(0))
    assert (view.truth == IGNORE).all()


def test_the_same_seed_gives_the_same_view() -> None:
    sampler = ViewSampler((frame(truth=True),), (65, 65), 0.7)
    first, second = (sampler(np.random.default_rng(3)) for _ in range(2))
    assert (first.picture == second.picture).all()


def test_truth_is_mixed_into_the_prediction_by_its_share() -> None:
    truth = np.full((65, 65), BACKGROUND, np.uint8)
    truth[:, 32:] = PERSON
    truth[40:] = IGNORE
    belief = np.full((17, 17), 0.4, np.float32)
    mixed = mix_truth(truth, belief, 0.5)
    assert mixed[2, 2] == pytest.approx(0.2, abs=0.01)
    assert mixed[2, 14] == pytest.approx(0.7, abs=0.01)
    assert mixed[15, 14] == pytest.approx(0.4)
    assert mix_truth(truth, belief, 0.0) == pytest.approx(belief)


def test_pieces_differ_between_seeds() -> None:
    sampler = ViewSampler((frame(truth=True),), (65, 65), 0.5)
    pieces = [sampler(np.random.default_rng(seed)).picture for seed in range(8)]
    assert len({piece.tobytes() for piece in pieces}) == 8


def test_a_piece_larger_than_the_frame_is_the_frame() -> None:
    view = ViewSampler((frame(truth=True),), (65, 65), 5.0)(np.random.default_rng(0))
    assert view.picture.shape == (1, 65, 65, 3)
    assert (view.truth == PERSON).any()
    assert (view.truth == BACKGROUND).any()


def test_drawing_views_does_not_change_the_frames() -> None:
    shown = frame(truth=True)
    before = shown.pixels.copy()
    sampler = ViewSampler((shown,), (65, 65), 0.5)
    for seed in range(8):
        sampler(np.random.default_rng(seed))
    assert np.array_equal(shown.pixels, before)


def test_views_are_drawn_from_every_frame() -> None:
    light, dark = frame(truth=False), frame(truth=False)
    light.pixels[:], dark.pixels[:] = 250, 5
    sampler = ViewSampler((light, dark), (17, 17), 0.5)
    means = [sampler(np.random.default_rng(seed)).picture.mean() for seed in range(30)]
    assert min(means) < 60
    assert max(means) > 150


def test_loaded_frames_are_limited_by_memory(monkeypatch: pytest.MonkeyPatch, labelled: Dataset) -> None:
    everything = load_frames(labelled, 5)
    assert len(everything) == 5
    monkeypatch.setattr(views, "CACHE_BYTES", everything[0].pixels.nbytes + 1)
    assert len(load_frames(labelled, 5)) == 1
    monkeypatch.setattr(views, "CACHE_BYTES", 0)
    assert len(load_frames(labelled, 5)) == 1, "one frame at least"


def test_ignored_pixels_keep_the_prediction() -> None:
    belief = np.random.default_rng(0).uniform(0, 1, (9, 9)).astype(np.float32)
    assert mix_truth(np.full((33, 33), IGNORE, np.uint8), belief, 1.0) == pytest.approx(belief)


def test_truth_with_full_share_replaces_the_prediction() -> None:
    truth = np.full((33, 33), BACKGROUND, np.uint8)
    truth[:, :17] = PERSON
    mixed = mix_truth(truth, np.full((9, 9), 0.5, np.float32), 1.0)
    assert mixed[:, :3] == pytest.approx(1, abs=0.01)
    assert mixed[:, -3:] == pytest.approx(0, abs=0.01)
