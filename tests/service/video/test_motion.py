"""Cuts, flashes, still pictures and optical flow."""

import cv2
import numpy as np
import pytest

from danmatte.video.motion import (
    CutDetector,
    OpticalFlow,
    compare_histograms,
    correlate_structure,
    is_cut,
    measure_change,
)
from tests.service.scenes import SIZE, scene


def shift(picture: np.ndarray, by: int) -> np.ndarray:
    return np.roll(picture, by, axis=1)


def brighten(picture: np.ndarray, gain: float, offset: float) -> np.ndarray:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def find_cuts(pictures: list[np.ndarray]) -> list[int]:
    cuts = CutDetector()
    return [at for at, picture in enumerate(pictures) if cuts.step(picture)]


def test_a_different_scene_is_a_cut() -> None:
    assert find_cuts([scene(1)] * 3 + [scene(2, light=150)] * 3) == [3]


@pytest.mark.parametrize("by", [1, 4, 16])
def test_a_pan_is_not_a_cut(by: int) -> None:
    assert find_cuts([shift(scene(1), by * at) for at in range(8)]) == []


@pytest.mark.parametrize(("gain", "offset"), [(1.5, 20), (0.5, 0), (1, 60)])
def test_a_change_of_light_is_not_a_cut(gain: float, offset: float) -> None:
    assert find_cuts([scene(1), brighten(scene(1), gain, offset), scene(1)]) == []


@pytest.mark.parametrize("level", [0, 255])
def test_a_white_or_black_flash_is_not_a_cut(level: int) -> None:
    flash = np.full(SIZE, level, np.uint8)
    assert find_cuts([scene(1), flash, flash, scene(1)]) == []


def test_a_new_scene_after_a_flash_is_a_cut() -> None:
    assert find_cuts([scene(1), np.full(SIZE, 255, np.uint8), scene(2, light=150)]) == [2]


def test_returning_to_a_scene_after_one_frame_is_not_a_second_cut() -> None:
    assert find_cuts([scene(1), scene(2, light=150), scene(1), scene(1)]) == [1]


def test_a_cut_is_detected_in_either_order_of_the_scenes() -> None:
    assert is_cut(scene(1), scene(2, light=150))
    assert is_cut(scene(2, light=150), scene(1))


def test_change_is_measured_for_the_picture_and_its_worst_block() -> None:
    after = scene(1)
    after[:16, :16] = cv2.add(after[:16, :16], 40)
    whole, block = measure_change(scene(1), after)
    assert whole < 1 < 20 < block


def test_warping_along_the_flow_moves_a_picture_to_the_next_frame() -> None:
    optical_flow = OpticalFlow()
    here, before = shift(scene(1), 5), scene(1)
    warped = optical_flow.warp(before, optical_flow.compute(here, before))
    inner = np.s_[20:-20, 30:-30]
    assert np.abs(warped.astype(int) - here)[inner].mean() < 0.3 * np.abs(before.astype(int) - here)[inner].mean()


@pytest.mark.parametrize("size", [(5, 320), (24, 320), (31, 160), (320, 5), (1, 1)])
def test_the_flow_of_a_very_narrow_picture_is_zero(size: tuple[int, int]) -> None:
    stripe = np.ascontiguousarray(np.resize(scene(1), size))
    flow = OpticalFlow().compute(stripe, np.roll(stripe, 3))
    assert flow.shape == (*size, 2)
    assert not flow.any()


def test_structure_correlates_in_any_light_but_not_between_scenes() -> None:
    assert correlate_structure(scene(1), scene(1)) == pytest.approx(1, abs=0.1)
    assert correlate_structure(scene(1), brighten(scene(1), 1, 50)) > 0.8
    assert abs(correlate_structure(scene(1), scene(2))) < 0.3
    assert correlate_structure(scene(1), 255 - scene(1)) < -0.5


def test_structures_of_pictures_without_contrast_are_equal() -> None:
    assert correlate_structure(np.full(SIZE, 9, np.uint8), np.full(SIZE, 200, np.uint8)) == 1


def test_histograms_measure_the_share_of_pixels_that_changed_brightness() -> None:
    dark = np.zeros(SIZE, np.uint8)
    half = dark.copy()
    half[:90] = 200
    assert compare_histograms(dark, dark) == 0
    assert compare_histograms(dark, half) == pytest.approx(0.5, abs=0.15)
    assert compare_histograms(dark, half) == compare_histograms(half, dark)
    assert compare_histograms(dark, dark + 7) == 0  # the same bin of the histogram


def test_a_slow_fade_through_black_is_one_cut() -> None:
    dark = [brighten(scene(1), gain, 0) for gain in (0.8, 0.5, 0.2, 0.02)]
    light = [brighten(scene(2, light=150), gain, 0) for gain in (0.02, 0.3, 0.6, 1)]
    assert len(find_cuts([scene(1), *dark, np.zeros(SIZE, np.uint8), *light, scene(2, light=150)])) == 1


def test_alternating_scenes_are_cuts_only_if_they_last_long_enough() -> None:
    one, other = scene(1), scene(2, light=150)
    assert find_cuts([one] * 5 + [other] * 5 + [one] * 5) == [5, 10]
    assert find_cuts([one] * 5 + [other] * 2 + [one] * 5) == [5]


def test_equal_pictures_have_no_change() -> None:
    assert measure_change(scene(1), scene(1)) == (0, 0)
    tiny = np.zeros((3, 5), np.uint8)
    assert measure_change(tiny, tiny + 10) == (10, 10)


def test_warping_keeps_a_picture_without_flow_and_repeats_its_border() -> None:
    optical_flow, picture = OpticalFlow(), np.arange(12, dtype=np.float32).reshape(3, 4)
    still = np.zeros((3, 4, 2), np.float32)
    assert np.array_equal(optical_flow.warp(picture, still), picture)
    far = still.copy()
    far[..., 0] = 100
    assert np.array_equal(optical_flow.warp(picture, far), np.repeat(picture[:, -1:], 4, axis=1))


def test_one_optical_flow_serves_pictures_of_several_sizes() -> None:
    optical_flow = OpticalFlow()
    for size in ((40, 60), (64, 48), (40, 60)):
        picture = np.ascontiguousarray(np.resize(scene(1), size))
        flow = optical_flow.compute(picture, picture)
        assert flow.shape == (*size, 2)
        assert optical_flow.warp(picture, flow).shape == size
