"""Stabilising masks over time."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from danmatte.video.analysis import FrameAnalysis
from danmatte.video.edges import EdgeGuide
from danmatte.video.stabiliser import Stabiliser, StabiliserOptions, StableMask
from tests.service.scenes import SIZE, person, probabilities, scene, with_person

LIVE, OFFLINE = StabiliserOptions(ahead=0), StabiliserOptions()
both = pytest.mark.parametrize("options", [LIVE, OFFLINE], ids=["live", "offline"])


def run(options: StabiliserOptions, frames: list[tuple[np.ndarray, np.ndarray | None]]) -> list[StableMask]:
    stabiliser = Stabiliser(options)
    ready = [item for at, (grey, values) in enumerate(frames) for item in stabiliser.step(grey, values, 40 * at)]
    return [*ready, *stabiliser.finish()]


def flicker(masks: list[np.ndarray]) -> float:
    return float(np.mean([(one ^ other).sum() for one, other in pairwise(masks)]))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@both
def test_the_mask_of_a_motionless_person_flickers_less(options: StabiliserOptions) -> None:
    values = [probabilities(person(100), noise=at) for at in range(20)]
    stable = run(options, [(with_person(100), each) for each in values])
    before = flicker([each >= 0.5 for each in values])
    assert flicker([item.alpha >= 0.5 for item in stable][5:]) < 0.35 * before


@both
@pytest.mark.parametrize("speed", [3, 9])
def test_a_moving_person_leaves_no_trail(options: StabiliserOptions, speed: int) -> None:
    places = range(20, 20 + 12 * speed, speed)
    stable = run(options, [(with_person(x), probabilities(person(x))) for x in places])
    for item, x in zip(stable, places, strict=True):
        assert iou(item.alpha >= 0.5, person(x)) > 0.93


@both
def test_a_person_who_disappears_is_removed_from_the_mask_immediately(options: StabiliserOptions) -> None:
    here, away = (with_person(100), probabilities(person(100))), (scene(1), np.zeros(SIZE, np.float32))
    stable = run(options, [here] * 6 + [away] * 3)
    assert not (stable[6].alpha >= 0.5).any()
    assert iou(stable[5].alpha >= 0.5, person(100)) > 0.95


@both
def test_masks_are_not_blended_across_a_cut(options: StabiliserOptions) -> None:
    here = (with_person(60), probabilities(person(60)))
    after = (255 - with_person(200, number=2), probabilities(person(200)))
    stable = run(options, [here] * 5 + [after] * 5)
    assert [item.cut for item in stable] == [False] * 5 + [True] + [False] * 4
    alone = run(options, [after] * 5)
    assert np.array_equal(stable[5].alpha, alone[0].alpha)
    assert np.array_equal(stable[4].alpha, run(options, [here] * 5)[4].alpha)


def test_an_edge_where_the_network_is_undecided_does_not_flicker() -> None:
    values = np.full(SIZE, 0.0, np.float32)
    values[40:170, 100:140] = 1
    frames = []
    for at in range(12):  # a fold of the coat at which the network is undecided
        each = values.copy()
        each[80:110, 140:160] = 0.52 if at % 2 else 0.48
        frames.append((np.full(SIZE, 90, np.uint8), each))
    masks = [item.alpha >= 0.5 for item in run(LIVE, frames)]
    assert flicker(masks[3:]) == 0


@both
def test_people_that_differ_only_in_colour_are_not_blended(options: StabiliserOptions) -> None:
    grey, values = np.full(SIZE, 100, np.uint8), [probabilities(person(x)) for x in (100, 180)]
    stabiliser = Stabiliser(options)
    ready = []
    for at in range(8):  # a person in red disappears and another one appears, as bright as the background
        where = person((100, 180)[at >= 4])
        red, green = (np.where(where, *pair).astype(np.uint8) for pair in ((180, 66), (66, 124)))
        colours = cv2.merge([red, green, np.full(SIZE, 70, np.uint8)])
        ready += stabiliser.step(grey, values[at >= 4], 40 * at, colours=colours, cut=False)
    stable = [*ready, *stabiliser.finish()]
    assert iou(stable[3].alpha >= 0.5, person(100)) > 0.95
    assert iou(stable[4].alpha >= 0.5, person(180)) > 0.95


def test_live_masks_are_returned_immediately_and_offline_ones_two_frames_later() -> None:
    frame = (with_person(100), probabilities(person(100)))
    live, offline = Stabiliser(LIVE), Stabiliser(OFFLINE)
    assert [item.pts_ms for item in live.step(*frame, 7)] == [7]
    assert [item.pts_ms for at in range(4) for item in offline.step(*frame, at)] == [0, 1]
    assert [item.pts_ms for item in offline.finish()] == [2, 3]


@both
def test_a_held_frame_reuses_the_mask_of_the_previous_frame(options: StabiliserOptions) -> None:
    frame, held = (with_person(100), probabilities(person(100))), (with_person(100), None)
    stable = run(options, [frame, held, held, frame, held])
    assert [item.pts_ms for item in stable] == [0, 40, 80, 120, 160]
    assert [item.held for item in stable] == [False, True, True, False, True]
    assert stable[2].alpha is stable[0].alpha
    assert stable[4].alpha is stable[3].alpha


def test_holding_a_mask_across_a_cut_or_before_the_first_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected probabilities"):
        Stabiliser().step(scene(1), None, 0)
    stabiliser = Stabiliser()
    stabiliser.step(scene(1), probabilities(person(100)), 0)
    with pytest.raises(ValueError, match="40 ms: expected probabilities"):
        stabiliser.step(scene(2, light=150), None, 40)


def test_the_options_margin_and_hide_take_effect() -> None:
    frame = [(with_person(100), probabilities(person(100)))]
    assert run(StabiliserOptions(margin=0.03), frame)[0].alpha.sum() > run(StabiliserOptions(), frame)[0].alpha.sum()
    tiny = np.zeros(SIZE, np.float32)
    tiny[80:90, 100:106] = 1
    far = np.where(tiny > 0, 220, scene(1)).astype(np.uint8)
    assert run(StabiliserOptions(), [(far, tiny)])[0].alpha.max() == 0
    assert run(StabiliserOptions(hide=False), [(far, tiny)])[0].alpha.max() > 0.5


@pytest.mark.parametrize("wrong", [{"ahead": -1}, {"ahead": 3}, {"margin": -1}, {"margin": 0.06}])
def test_invalid_options_are_rejected(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected ahead 0 to 2"):
        StabiliserOptions(**wrong)


def test_the_second_frame_ahead_is_aligned_by_both_flows() -> None:
    flat = np.full((*SIZE, 3), 90, np.uint8)
    guide, flow = EdgeGuide(flat), np.zeros((*SIZE, 2), np.float32)
    flow[..., 0] = 12  # from each frame to the next
    stabiliser, ready = Stabiliser(StabiliserOptions(hide=False)), list[StableMask]()
    for number in range(3):  # the network misses the person in the first frame
        frame = FrameAnalysis(40 * number, False, flat[..., 0], flat, guide, None, None if number == 0 else flow)
        values = person(100 + 12 * number).astype(np.float32) if number else np.zeros(SIZE, np.float32)
        ready += stabiliser.take(frame, values)
    found, expected = (np.flatnonzero(mask.any(axis=0)) for mask in (ready[0].alpha >= 0.5, person(100)))
    assert found.mean() == pytest.approx(expected.mean(), abs=1)
    assert len(found) > 0.7 * len(expected)  # the edges are soft, because only some frames have them


def test_a_limb_that_the_network_misses_in_one_frame_is_kept() -> None:
    body, arm = person(100), np.zeros(SIZE, bool)
    arm[80:96, 140:190] = True
    picture = np.where(arm, 200, with_person(100)).astype(np.uint8)
    values = [probabilities(body | arm)] * 8
    values[4] = probabilities(body)
    # The light changes for one frame, whose picture then matches no other, so averaging doesn't help.
    frames = [
        (np.roll(picture, 0, 1) if at != 4 else np.clip(picture.astype(int) + 40, 0, 255).astype(np.uint8))
        for at in range(8)
    ]
    stable = run(OFFLINE, list(zip(frames, values, strict=True)))
    assert (stable[4].alpha >= 0.5)[arm].mean() > 0.9
