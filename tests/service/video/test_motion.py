"""Cuts, flashes, stillness and flow."""

import cv2
import numpy as np
import pytest

from danmatte.video.motion import CutDetector, OpticalFlow, is_cut, measure_change
from tests.service.scenes import SIZE, scene


def shift(picture: np.ndarray, by: int) -> np.ndarray:
    return np.roll(picture, by, axis=1)


def brighten(picture: np.ndarray, gain: float, offset: float) -> np.ndarray:
    return np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def find_cuts(pictures: list[np.ndarray]) -> list[int]:
    cuts = CutDetector()
    return [at for at, picture in enumerate(pictures) if cuts.step(picture)]


def test_another_scene_is_a_cut() -> None:
    assert find_cuts([scene(1)] * 3 + [scene(2, light=150)] * 3) == [3]


@pytest.mark.parametrize("by", [1, 4, 16])
def test_a_pan_is_no_cut(by: int) -> None:
    assert find_cuts([shift(scene(1), by * at) for at in range(8)]) == []


@pytest.mark.parametrize(("gain", "offset"), [(1.5, 20), (0.5, 0), (1, 60)])
def test_a_change_of_light_is_no_cut(gain: float, offset: float) -> None:
    assert find_cuts([scene(1), brighten(scene(1), gain, offset), scene(1)]) == []


@pytest.mark.parametrize("level", [0, 255])
def test_a_white_or_black_flash_is_no_cut(level: int) -> None:
    flash = np.full(SIZE, level, np.uint8)
    assert find_cuts([scene(1), flash, flash, scene(1)]) == []


def test_a_new_scene_after_a_flash_is_a_cut() -> None:
    assert find_cuts([scene(1), np.full(SIZE, 255, np.uint8), scene(2, light=150)]) == [2]


def test_what_is_back_after_a_moment_is_no_second_cut() -> None:
    assert find_cuts([scene(1), scene(2, light=150), scene(1), scene(1)]) == [1]


def test_a_cut_is_the_same_both_ways() -> None:
    assert is_cut(scene(1), scene(2, light=150))
    assert is_cut(scene(2, light=150), scene(1))


def test_change_tells_the_worst_block_from_the_whole() -> None:
    after = scene(1)
    after[:16, :16] = cv2.add(after[:16, :16], 40)
    whole, block = measure_change(scene(1), after)
    assert whole < 1 < 20 < block


def test_what_is_warped_along_the_flow_lies_where_it_went() -> None:
    optical_flow = OpticalFlow()
    here, before = shift(scene(1), 5), scene(1)
    warped = optical_flow.warp(before, optical_flow.compute(here, before))
    inner = np.s_[20:-20, 30:-30]
    assert np.abs(warped.astype(int) - here)[inner].mean() < 0.3 * np.abs(before.astype(int) - here)[inner].mean()


@pytest.mark.parametrize("size", [(5, 320), (24, 320), (31, 160), (320, 5), (1, 1)])
def test_narrow_stripes_stand_still_rather_than_fall_over(size: tuple[int, int]) -> None:
    stripe = np.ascontiguousarray(np.resize(scene(1), size))
    flow = OpticalFlow().compute(stripe, np.roll(stripe, 3))
    assert flow.shape == (*size, 2)
    assert not flow.any()
