"""Black frames, exposure, and black bars."""

import cv2
import numpy as np
import pytest

from danmatte.quality.brightness import NO_BARS, Bars, find_bars, is_black, join_bars, judge_exposure
from tests.service.quality.pictures import draw_scene


def frame(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0) -> np.ndarray:
    """Return a scene of 180 by 320 with bars of these widths in pixels."""
    picture = draw_scene(180, 320)
    picture[:top], picture[180 - bottom :], picture[:, :left], picture[:, 320 - right :] = 16, 16, 16, 16
    return picture


def test_a_frame_is_black_only_if_it_shows_nothing() -> None:
    assert is_black(np.full((90, 160), 16, np.uint8))
    night = np.full((90, 160), 18, np.uint8)
    cv2.circle(night, (80, 45), 20, 120, -1)
    assert not is_black(night)
    assert not is_black(draw_scene(90, 160))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, NO_BARS),
        ({"top": 18, "bottom": 18}, Bars(0.1, 0.1, 0, 0)),
        ({"left": 40, "right": 40}, Bars(0, 0, 0.125, 0.125)),
        ({"top": 18, "bottom": 18, "left": 32, "right": 32}, Bars(0.1, 0.1, 0.1, 0.1)),
        ({"top": 30}, NO_BARS),
    ],
)
def test_bars_are_found_in_pairs(given: dict[str, int], expected: Bars) -> None:
    assert find_bars(frame(**given)) == expected
    assert expected.any is bool(given and len(given) > 1)


def test_bars_of_a_video_are_the_common_bars_of_all_frames() -> None:
    found = [Bars(0.1, 0.1, 0.2, 0.2), Bars(0.1, 0.12, 0, 0)]
    assert join_bars(found) == Bars(0.1, 0.1, 0, 0)
    assert join_bars([]) == NO_BARS


def test_the_exposure_score_falls_for_too_bright_too_dark_and_hazy_pictures() -> None:
    right = judge_exposure(draw_scene(90, 160))
    assert right > 90
    too_bright = np.clip(draw_scene(90, 160).astype(int) + 110, 0, 255).astype(np.uint8)
    too_dark = np.clip(draw_scene(90, 160).astype(int) - 110, 0, 255).astype(np.uint8)
    hazy = (draw_scene(90, 160) // 10 + 120).astype(np.uint8)
    assert max(judge_exposure(worse) for worse in (too_bright, too_dark, hazy)) < right - 20
    assert judge_exposure(np.full((9, 16), 255, np.uint8)) == 0
